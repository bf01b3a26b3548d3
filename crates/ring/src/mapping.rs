//! The control page and the rings as memory.
//!
//! A ring is mapped as its header, its bytes, and its bytes once more, so that what goes over the end is in a row.
//!
//! Rings are memory that is mapped twice and that two threads share, hence the unsafe code.
#![allow(unsafe_code)]

use std::{fs::File, io, ops::Deref, ptr, ptr::NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use super::layout::{Control, PAGE, Positions};

/// Memory that is given back when dropped.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; who may touch which bytes when is said by its users.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Address space that holds nothing yet.
    fn reserve(bytes: usize) -> io::Result<Mapping> {
        // SAFETY: a new mapping at an address that the kernel chooses covers nothing that exists.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::empty(), MapFlags::PRIVATE)? };
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { base, bytes })
    }

    /// Puts bytes of the file, which must be allocated, at this offset of the mapping.
    fn place(&self, at: usize, file: &File, from: u64, bytes: usize) -> io::Result<()> {
        if at + bytes > self.bytes {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the range lies in the address space reserved above, of which nobody has a reference yet.
        unsafe {
            mmap(self.base.as_ptr().add(at).cast(), bytes, access, MapFlags::SHARED | MapFlags::FIXED, file, from)?
        };
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and references to it do not outlive it.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok());
    }
}

/// The control page of a file.
#[derive(Debug)]
pub(super) struct ControlPage(Mapping);

impl ControlPage {
    /// Maps the first page of the file, which must be allocated.
    pub fn map(file: &File) -> io::Result<ControlPage> {
        let mapping = Mapping::reserve(PAGE)?;
        mapping.place(0, file, 0, PAGE)?;
        Ok(ControlPage(mapping))
    }
}

impl Deref for ControlPage {
    type Target = Control;

    #[inline]
    fn deref(&self) -> &Control {
        // SAFETY: the page is mapped as long as self is, aligned, larger than Control, and used as atomics alone.
        unsafe { self.0.base.cast::<Control>().as_ref() }
    }
}

/// A ring: its positions, and its bytes.
#[derive(Debug)]
pub(super) struct Ring {
    mapping: Mapping,
    size: usize,
    pub index: u32,
}

impl Ring {
    /// Maps the ring whose header is at `at`. Header and bytes must be allocated; `size` is a power of two.
    pub fn map(file: &File, at: u64, size: usize, index: u32) -> io::Result<Ring> {
        let mapping = Mapping::reserve(PAGE + 2 * size)?;
        mapping.place(0, file, at, PAGE + size)?;
        mapping.place(PAGE + size, file, at + PAGE as u64, size)?;
        Ok(Ring { mapping, size, index })
    }

    /// How many bytes it holds.
    pub fn size(&self) -> usize {
        self.size
    }

    #[inline]
    fn place(&self, at: u64) -> *mut u8 {
        let offset = at as usize & (self.size - 1);
        // SAFETY: the offset is less than the size, and the mapping has that twice after the header.
        unsafe { self.mapping.base.as_ptr().add(PAGE + offset) }
    }

    /// The bytes at this position, to be read.
    ///
    /// # Safety
    /// `bytes` is at most the size, and nobody writes them while the reference lives.
    #[inline]
    pub unsafe fn bytes(&self, at: u64, bytes: usize) -> &[u8] {
        // SAFETY: the mapping holds the size in a row from any position on; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts(self.place(at), bytes) }
    }

    /// The bytes at this position, to be written.
    ///
    /// # Safety
    /// `bytes` is at most the size, and nobody else reads or writes them while the reference lives.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "shared memory: the caller promises that nobody else has these bytes")]
    pub unsafe fn bytes_mut(&self, at: u64, bytes: usize) -> &mut [u8] {
        // SAFETY: the mapping holds the size in a row from any position on; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.place(at), bytes) }
    }

    /// Fetches the cache lines at this position, to be written soon.
    #[inline]
    pub fn prefetch(&self, at: u64) {
        #[cfg(target_arch = "x86_64")]
        for line in [0, 64, 128, 192] {
            use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            let place = self.place(at).wrapping_add(line).cast_const().cast::<i8>();
            // SAFETY: a prefetch faults at no address.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(place) };
        }
    }
}

impl Deref for Ring {
    type Target = Positions;

    #[inline]
    fn deref(&self) -> &Positions {
        // SAFETY: the header is mapped as long as self is, aligned, larger than Positions, and used as atomics alone.
        unsafe { self.mapping.base.cast::<Positions>().as_ref() }
    }
}
