//! What a boom file's checkpoint says of the services: for each how far its records go in its source, and in its text log.
//!
//! Pure: `docs/formats.md`, "What a follower of containers writes", both ways. Decoding takes any bytes.

use logboom_boom::format::{
    CHECKPOINT_BYTES_MAX, FormatError,
    input::{Input, put_varint},
};
use logboom_record::{Level, RunId};

use super::feed::{ContainerId, FileMark, Place, Reached, Source, SourceKind, StreamPlace};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + BOOT_BYTES;
const BOOT_BYTES: usize = 8;

/// Tells whether the system was booted since: what a text log was said to hold may be gone then. Zero: nobody knows.
pub(super) type Boot = [u8; BOOT_BYTES];

/// The present one.
pub(super) fn this_boot() -> Boot {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let hex: String = text.chars().filter(char::is_ascii_hexdigit).take(2 * BOOT_BYTES).collect();
    u64::from_str_radix(&hex, 16).unwrap_or(0).to_be_bytes()
}

/// What is said of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServicePlace {
    /// Its run.
    pub(super) run: RunId,
    /// How far its text log goes; `None` where some lines before that are not there.
    pub(super) text: Option<TextPlace>,
    /// What it is read from, if it is yet.
    pub(super) source: Option<Source>,
}

/// How far a text log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextPlace {
    /// So many bytes of it are lines of records.
    pub(super) bytes: u64,
    /// So many records have none there yet.
    pub(super) behind: u64,
}

/// A checkpoint that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) boot: Boot,
    pub(super) services: Vec<ServicePlace>,
}

/// Writes a checkpoint. Gives how many services found no room in it.
pub(super) fn encode<'a>(
    out: &mut Vec<u8>,
    boot: Boot,
    services: impl Iterator<Item = &'a ServicePlace> + Clone,
) -> usize {
    let count = services.clone().count();
    out.clear();
    out.push(VERSION);
    out.extend_from_slice(&boot);
    put_varint(out, count as u64);
    let mut before = [0; 16];
    for (number, service) in services.clone().enumerate() {
        let start = out.len();
        put_service(out, service, &before);
        if out.len() > CHECKPOINT_BYTES_MAX {
            out.truncate(start);
            recount(out, number, count);
            return count - number;
        }
        before = *service.run.as_bytes();
    }
    0
}

/// Says that there are fewer services than was said.
fn recount(out: &mut Vec<u8>, services: usize, said: usize) {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    put_varint(&mut old, said as u64);
    put_varint(&mut new, services as u64);
    out.splice(HEAD_BYTES..HEAD_BYTES + old.len(), new);
}

/// Reads a checkpoint.
///
/// # Errors
/// If it is none, or a newer version wrote it.
pub(super) fn decode(bytes: &[u8]) -> Result<Checkpoint, FormatError> {
    let mut input = Input::new("checkpoint of services", bytes);
    if input.u8()? != VERSION {
        return Err(input.wrong());
    }
    let boot = input.array()?;
    let mut before = [0; 16];
    let count = input.count()?;
    let mut services = Vec::new();
    for _ in 0..count {
        let service = take_service(&mut input, &before)?;
        before = *service.run.as_bytes();
        services.push(service);
    }
    if input.rest().is_empty() { Ok(Checkpoint { boot, services }) } else { Err(input.wrong()) }
}

fn put_service(out: &mut Vec<u8>, service: &ServicePlace, before: &[u8; 16]) {
    let run = service.run.as_bytes();
    let shared = run.iter().zip(before).take_while(|(a, b)| a == b).count();
    out.push(shared as u8);
    out.extend_from_slice(&run[shared..]);
    match service.text {
        None => put_varint(out, 0),
        Some(TextPlace { bytes, behind }) => {
            put_varint(out, bytes.saturating_add(1));
            put_varint(out, behind);
        }
    }
    match &service.source {
        None => out.push(0),
        Some(source) => put_source(out, source),
    }
}

fn take_service(input: &mut Input<'_>, before: &[u8; 16]) -> Result<ServicePlace, FormatError> {
    let shared = usize::from(input.u8()?);
    let mut run = *before;
    let own = run.get_mut(shared..).ok_or(input.wrong())?;
    own.copy_from_slice(input.take(own.len())?);
    let text = match input.varint()?.checked_sub(1) {
        None => None,
        Some(bytes) => Some(TextPlace { bytes, behind: input.varint()? }),
    };
    let kind = match input.u8()? {
        0 => None,
        1 => Some(SourceKind::LogFile),
        2 => Some(SourceKind::LogsApi),
        3 => Some(SourceKind::Attached),
        _ => return Err(input.wrong()),
    };
    let source = kind.map(|kind| take_source(input, kind)).transpose()?;
    Ok(ServicePlace { run: RunId::from_bytes(run), text, source })
}

fn put_source(out: &mut Vec<u8>, source: &Source) {
    let Source { container, kind, reached: Reached { stdout, stderr }, files } = source;
    out.push(match kind {
        SourceKind::LogFile => 1,
        SourceKind::LogsApi => 2,
        SourceKind::Attached => 3,
    });
    out.extend_from_slice(&container.0);
    out.push(state(stdout) | state(stderr) << 4);
    put_varint(out, stdout.at.part);
    put_varint(out, stdout.at.offset);
    put_varint(out, u64::from(stdout.skip));
    put_difference(out, stderr.at.part, stdout.at.part);
    put_difference(out, stderr.at.offset, stdout.at.offset);
    put_varint(out, u64::from(stderr.skip));
    put_varint(out, files.len() as u64);
    let mut before = stdout.at.part.min(stderr.at.part);
    for (part, file) in files {
        put_varint(out, part.wrapping_sub(before));
        put_varint(out, file.inode);
        put_varint(out, u64::from(file.head_bytes));
        out.extend_from_slice(&file.head_crc.to_le_bytes());
        before = *part;
    }
}

fn take_source(input: &mut Input<'_>, kind: SourceKind) -> Result<Source, FormatError> {
    let container = ContainerId(input.array()?);
    let states = input.u8()?;
    let at = Place { part: input.varint()?, offset: input.varint()? };
    let stdout = take_stream(input, at, states & 0xf)?;
    let at = Place { part: take_difference(input, at.part)?, offset: take_difference(input, at.offset)? };
    let stderr = take_stream(input, at, states >> 4)?;
    let reached = Reached { stdout, stderr };
    let mut before = stdout.at.part.min(stderr.at.part);
    let mut files = Vec::new();
    for _ in 0..input.count()? {
        before = before.wrapping_add(input.varint()?);
        let (inode, head_bytes) = (input.varint()?, input.number()?);
        files.push((before, FileMark { inode, head_bytes, head_crc: input.u32()? }));
    }
    Ok(Source { container, kind, reached, files })
}

fn state(stream: &StreamPlace) -> u8 {
    if stream.in_line { 1 | (stream.level as u8) << 1 } else { 0 }
}

fn take_stream(input: &mut Input<'_>, at: Place, state: u8) -> Result<StreamPlace, FormatError> {
    let in_line = state & 1 != 0;
    let level = if in_line { Level::from_u8(state >> 1).ok_or(input.wrong())? } else { Level::default() };
    Ok(StreamPlace { at, skip: input.number()?, in_line, level })
}

fn put_difference(out: &mut Vec<u8>, value: u64, from: u64) {
    let difference = value.wrapping_sub(from).cast_signed();
    put_varint(out, ((difference << 1) ^ (difference >> 63)).cast_unsigned());
}

fn take_difference(input: &mut Input<'_>, from: u64) -> Result<u64, FormatError> {
    input.zigzag().map(|difference| from.wrapping_add_signed(difference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, option, prelude::*};

    fn stream() -> impl Strategy<Value = StreamPlace> {
        let number = || prop_oneof![0..300u64, any::<u64>()];
        let level = prop_oneof![Just(None), (0..5u8).prop_map(Some)];
        (number(), number(), any::<u32>(), level).prop_map(|(part, offset, skip, level)| {
            let (in_line, level) = (level.is_some(), level.and_then(Level::from_u8).unwrap_or_default());
            StreamPlace { at: Place { part, offset }, skip, in_line, level }
        })
    }

    fn source() -> impl Strategy<Value = Source> {
        let kind = prop_oneof![Just(SourceKind::LogFile), Just(SourceKind::LogsApi), Just(SourceKind::Attached)];
        let file = (any::<u64>(), any::<u64>(), any::<u16>(), any::<u32>())
            .prop_map(|(part, inode, head_bytes, head_crc)| (part, FileMark { inode, head_bytes, head_crc }));
        (any::<[u8; 16]>(), kind, stream(), stream(), vec(file, 0..3)).prop_map(
            |(container, kind, stdout, stderr, files)| {
                let reached = Reached { stdout, stderr };
                Source { container: ContainerId(container), kind, reached, files }
            },
        )
    }

    fn service() -> impl Strategy<Value = ServicePlace> {
        let run = prop_oneof![
            any::<[u8; 16]>(),
            any::<u8>().prop_map(|last| [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, last])
        ];
        (run, option::of((0..u64::MAX, 0..300u64)), option::of(source())).prop_map(|(run, text, source)| {
            let text = text.map(|(bytes, behind)| TextPlace { bytes, behind });
            ServicePlace { run: RunId::from_bytes(run), text, source }
        })
    }

    fn encoded(boot: Boot, services: &[ServicePlace]) -> Vec<u8> {
        let mut bytes = vec![9; 7];
        assert_eq!(encode(&mut bytes, boot, services.iter()), 0);
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_comes_back(boot in any::<Boot>(), services in vec(service(), 0..20)) {
            let bytes = encoded(boot, &services);
            prop_assert_eq!(decode(&bytes).unwrap(), Checkpoint { boot, services });
        }

        #[test]
        fn what_is_cut_or_longer_is_refused(services in vec(service(), 1..4), at in any::<prop::sample::Index>()) {
            let mut bytes = encoded([1; 8], &services);
            prop_assert!(decode(&bytes[..at.index(bytes.len())]).is_err());
            bytes.push(0);
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_a_checkpoint_or_refused(
            mut bytes in vec(any::<u8>(), 0..300),
            services in vec(service(), 0..4),
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let _ = decode(&bytes);
            bytes = encoded([1; 8], &services);
            changes.into_iter().for_each(|(at, byte)| { let at = at.index(bytes.len()); bytes[at] = byte; });
            if let Ok(read) = decode(&bytes) {
                prop_assert_eq!(decode(&encoded(read.boot, &read.services)).unwrap(), read);
            }
        }
    }

    /// What a service usually has in it, late in a session: places in a log file of a gigabyte.
    fn usual(number: u64) -> ServicePlace {
        let mut run = [0x55; 16];
        run[4..].copy_from_slice(&[number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes(), [3; 8]].concat()[..12]);
        let place = |offset| StreamPlace { at: Place { part: 3, offset }, ..StreamPlace::default() };
        let reached = Reached { stdout: place(1 << 30), stderr: place((1 << 30) + 5_000) };
        let file = FileMark { inode: 40_000_000, head_bytes: 1_024, head_crc: 7 };
        let mut source = Source::new(ContainerId([number as u8; 16]), SourceKind::LogFile);
        (source.reached, source.files) = (reached, vec![(3, file)]);
        ServicePlace {
            run: RunId::from_bytes(run),
            text: Some(TextPlace { bytes: 2 << 30, behind: 9 }),
            source: Some(source),
        }
    }

    #[test]
    fn a_thousand_services_fit() {
        let services: Vec<ServicePlace> = (0..1_000).map(usual).collect();
        let bytes = encoded(this_boot(), &services);
        assert!(bytes.len() < CHECKPOINT_BYTES_MAX, "{}", bytes.len());
        assert_eq!(decode(&bytes).unwrap().services, services);
    }

    #[test]
    fn what_finds_no_room_is_left_out_and_counted() {
        let services: Vec<ServicePlace> = (0..5_000).map(usual).collect();
        let mut bytes = Vec::new();
        let left_out = encode(&mut bytes, [0; 8], services.iter());
        assert!(bytes.len() <= CHECKPOINT_BYTES_MAX && left_out > 3_000);
        assert_eq!(decode(&bytes).unwrap().services, services[..5_000 - left_out]);
    }

    #[test]
    fn the_present_boot_is_known() {
        assert_ne!(this_boot(), [0; 8]);
        assert_eq!(this_boot(), this_boot());
    }
}
