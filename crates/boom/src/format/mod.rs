//! The bytes of a boom file and its tail, as `docs/formats.md` has them: every structure, both ways.
//!
//! Decoding takes bytes that passed their checksum, but trusts nothing: counts and lengths are checked against what is
//! there, so that any bytes give a value or a [`FormatError`], never a panic and never memory out of proportion.
//! No I/O and no compression of blocks; what a column's raw bytes are stands in [`columns`].

pub mod block;
pub mod columns;
pub mod footer;
pub mod frame;
pub mod index;
pub mod input;
mod parts;
pub mod tail;

pub use block::{BlockFlags, BlockMeta, ColumnId, ColumnMeta};
pub use footer::{Footer, RunInFooter};
pub use frame::{FileHeader, FileId, FrameHead, FrameKind};
pub use index::{BlockSummary, IndexMeta};
pub use input::FormatError;
pub use parts::{EndInBlock, GapInBlock, RunInBlock};
pub use tail::{NewRun, TailHead, TailMeta};

/// The most bytes of messages a block may have, each message counted with one LF.
pub const BLOCK_TEXT_BYTES_MAX: usize = 1 << 20;
/// The most records a block may have.
pub const BLOCK_RECORDS_MAX: usize = 65_536;
/// The most runs a block may have.
pub const BLOCK_RUNS_MAX: usize = 256;
/// The most gaps a block may have, and the most ends of runs.
pub const BLOCK_GAPS_MAX: usize = 512;
/// The most bytes of columns a block may have, unless it has one record only.
pub const BLOCK_COLUMN_BYTES_MAX: usize = 2 << 20;
/// The most bytes one column may have: what a reader is ready to decompress.
pub const COLUMN_BYTES_MAX: usize = 4 << 20;
/// The most buckets a block may have.
pub const BUCKETS_MAX: usize = 256;
/// How many blocks one index frame describes.
pub const GROUP_BLOCKS: usize = 32;
/// The most bytes a checkpoint may have.
pub const CHECKPOINT_BYTES_MAX: usize = 64 << 10;
/// The most bytes the reason of a gap may have.
pub const WHY_BYTES_MAX: usize = 256;
/// The most runs a file may have: its footer names them all.
pub const RUNS_MAX: usize = 65_536;
/// How much is preallocated past the end of a boom file while its writer lives.
pub const RESERVE_BYTES: u64 = 64 << 10;
