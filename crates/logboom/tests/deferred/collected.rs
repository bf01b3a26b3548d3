//! A collector that keeps what it is given, and renders it as another process would.

use std::cell::RefCell;

use logboom::deferred::{FieldsWriter, Site, SiteInfo};
use logboom::private::{Call, Level, Slot, Takes};

/// The bytes before the payload in a slot.
const HEAD_BYTES: usize = 24;

pub struct Taken {
    pub level: Level,
    pub site: &'static Site,
    pub payload: Vec<u8>,
}

impl Taken {
    /// Whether the message is in the payload as text.
    pub fn holds_message(&self) -> bool {
        self.payload.first() == Some(&17)
    }

    /// Whether all values are stored as they are, and none as text that was formatted at the call.
    pub fn is_stored(&self) -> bool {
        let mut rest = &self.payload[..];
        while let Some((tag, after)) = rest.split_first() {
            let bytes = match tag {
                1..=5 => 1 << (tag - 1),
                6..=10 => 1 << (tag - 6),
                11 | 14 => 4,
                12 => 8,
                13 => 1,
                15 => 4 + u32::from_le_bytes(*after.first_chunk().unwrap()) as usize,
                _ => return false,
            };
            rest = &after[bytes..];
        }
        true
    }

    /// The message, the logfmt text, and the JSON text of the fields.
    pub fn render(&self) -> (String, String, String) {
        let mut bytes = Vec::new();
        self.site.encode(&mut bytes);
        let (info, len) = SiteInfo::parse(&bytes).unwrap();
        assert_eq!((len, &info), (bytes.len(), &self.site.info()));
        let (mut out, mut fields) = (Vec::new(), FieldsWriter::default());
        info.render(&self.payload, &mut out, &mut fields).unwrap();
        let fields = fields.finish();
        (String::from_utf8(out).unwrap(), fields.suffix.to_owned(), fields.json.unwrap_or_default().to_owned())
    }

    pub fn message(&self) -> String {
        self.render().0
    }
}

/// Takes calls of a level and above.
pub struct Collected {
    level: Level,
    taken: RefCell<Vec<Taken>>,
}

impl Collected {
    pub fn from_level(level: Level) -> Collected {
        Collected { level, taken: RefCell::default() }
    }

    pub fn all() -> Collected {
        Collected::from_level(Level::Trace)
    }

    pub fn take_all(&self) -> Vec<Taken> {
        self.taken.take()
    }

    /// The one call that was taken since.
    pub fn one(&self) -> Taken {
        let mut taken = self.take_all();
        assert_eq!(taken.len(), 1);
        taken.remove(0)
    }
}

impl Takes for Collected {
    fn enabled(&self, level: Level, _: &'static str) -> bool {
        level >= self.level
    }

    /// Encodes into a slot that is too small at first, as a ring's end may be.
    fn take<F: Fn(&mut Slot<'_>)>(&self, call: Call<F>) {
        for room in (0..).map(|power| 32 << power) {
            let mut place = vec![0xFF; room];
            let mut slot = Slot::new(&mut place);
            (call.encode)(&mut slot);
            if !slot.overflowed() {
                let bytes = slot.payload_bytes();
                let payload = place[HEAD_BYTES..HEAD_BYTES + bytes].to_vec();
                let Call { level, site, .. } = call;
                return self.taken.borrow_mut().push(Taken { level, site, payload });
            }
        }
    }
}
