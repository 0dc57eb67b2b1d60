//! The C interface: RFC 2744, with MIT's `gss_acquire_cred_from` and `gss_set_neg_mechs`.
//!
//! Each handle of the library's has an owner here that gives it back; nothing outside this file sees a
//! pointer.

#![expect(unsafe_code, reason = "a C library; see the comment at each place")]

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::marker::PhantomData;
use std::ptr;

use libloading::Library;

use super::status::Status;

/// `OM_uint32`.
type Word = u32;
/// `GSS_C_INDEFINITE`.
pub const INDEFINITE: Word = Word::MAX;
const ACCEPT: c_int = 2;
const CONTINUE_NEEDED: Word = 1;
const ANONYMOUS: Word = 64;
/// Calling and routine errors; the rest of a major status is supplementary.
const ERRORS: Word = 0xffff_0000;
pub const GSS_CODE: c_int = 1;
pub const MECH_CODE: c_int = 2;

/// `gss_OID_desc`.
#[repr(C)]
pub struct Oid {
    length: Word,
    elements: *const u8,
}

// SAFETY: points to constant bytes, or to bytes of the library that it never changes (RFC 2744, section 3.3).
unsafe impl Sync for Oid {}

impl Oid {
    const fn new(elements: &'static [u8]) -> Self {
        Self { length: elements.len() as Word, elements: elements.as_ptr() }
    }

    fn bytes(&self) -> &[u8] {
        if self.elements.is_null() {
            return &[];
        }
        // SAFETY: an OID has `length` bytes at `elements`.
        unsafe { std::slice::from_raw_parts(self.elements, self.length as usize) }
    }
}

const KERBEROS: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"; // 1.2.840.113554.1.2.2
const SPNEGO: &[u8] = b"\x2b\x06\x01\x05\x05\x02"; // 1.3.6.1.5.5.2
/// `GSS_KRB5_NT_PRINCIPAL_NAME`, 1.2.840.113554.1.2.2.1.
pub static KRB5_PRINCIPAL_NAME: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01");
/// `GSS_C_NT_HOSTBASED_SERVICE`, 1.2.840.113554.1.2.1.4.
pub static HOSTBASED_SERVICE: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04");

static BOTH: [Oid; 2] = [Oid::new(KERBEROS), Oid::new(SPNEGO)];
/// Kerberos, and SPNEGO around it.
pub static MECHANISMS: OidSet = OidSet { count: 2, elements: BOTH.as_ptr() };
/// What SPNEGO may agree on.
pub static KERBEROS_ALONE: OidSet = OidSet { count: 1, elements: BOTH.as_ptr() };

/// `gss_OID_set_desc`.
#[repr(C)]
pub struct OidSet {
    count: usize,
    elements: *const Oid,
}

// SAFETY: as for `Oid`.
unsafe impl Sync for OidSet {}

/// `gss_buffer_desc`.
#[repr(C)]
pub struct Buffer {
    length: usize,
    value: *mut c_void,
}

impl Buffer {
    const EMPTY: Self = Self { length: 0, value: ptr::null_mut() };

    /// For the library to read. It takes no constant pointer, but does not write.
    fn reading(bytes: &[u8]) -> Self {
        Self { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
    }
}

/// `gss_key_value_element_desc`.
#[repr(C)]
pub struct KeyValue<'a> {
    key: *const c_char,
    value: *const c_char,
    borrowed: PhantomData<&'a CStr>,
}

impl<'a> KeyValue<'a> {
    pub fn new(key: &'a CStr, value: &'a CStr) -> Self {
        Self { key: key.as_ptr(), value: value.as_ptr(), borrowed: PhantomData }
    }
}

/// `gss_key_value_set_desc`.
#[repr(C)]
pub struct KeyValues<'a> {
    count: Word,
    elements: *const KeyValue<'a>,
    borrowed: PhantomData<&'a KeyValue<'a>>,
}

impl<'a> KeyValues<'a> {
    pub fn of(pairs: &'a [KeyValue<'a>]) -> Self {
        Self { count: pairs.len() as Word, elements: pairs.as_ptr(), borrowed: PhantomData }
    }
}

type Handle = *mut c_void;

/// The functions, by their names in C without `gss_`.
pub struct Functions {
    import_name: unsafe extern "C" fn(*mut Word, *const Buffer, *const Oid, *mut Handle) -> Word,
    display_name: unsafe extern "C" fn(*mut Word, Handle, *mut Buffer, *mut *const Oid) -> Word,
    release_name: unsafe extern "C" fn(*mut Word, *mut Handle) -> Word,
    acquire_cred_from: unsafe extern "C" fn(
        *mut Word,
        Handle,
        Word,
        *const OidSet,
        c_int,
        *const KeyValues<'_>,
        *mut Handle,
        *mut *mut OidSet,
        *mut Word,
    ) -> Word,
    set_neg_mechs: unsafe extern "C" fn(*mut Word, Handle, *const OidSet) -> Word,
    release_cred: unsafe extern "C" fn(*mut Word, *mut Handle) -> Word,
    accept_sec_context: unsafe extern "C" fn(
        *mut Word,
        *mut Handle,
        Handle,
        *const Buffer,
        *const c_void,
        *mut Handle,
        *mut *const Oid,
        *mut Buffer,
        *mut Word,
        *mut Word,
        *mut Handle,
    ) -> Word,
    delete_sec_context: unsafe extern "C" fn(*mut Word, *mut Handle, *mut Buffer) -> Word,
    release_buffer: unsafe extern "C" fn(*mut Word, *mut Buffer) -> Word,
    display_status: unsafe extern "C" fn(*mut Word, Word, c_int, *const Oid, *mut Word, *mut Buffer) -> Word,
    /// Of libcom_err, on which the library depends: the text of an error code.
    error_message: unsafe extern "C" fn(c_long) -> *const c_char,
    _library: Library,
}

impl Functions {
    pub fn load(name: &str) -> Result<Self, libloading::Error> {
        // SAFETY: loading runs the library's initialisers, which do no more than prepare for lazy ones.
        let library = unsafe { Library::new(name) }?;
        // SAFETY: the types are those of RFC 2744 and of MIT's gssapi_ext.h and com_err.h; the functions are
        // not used after the library, which is kept beside them.
        unsafe {
            Ok(Self {
                import_name: *library.get(b"gss_import_name\0")?,
                display_name: *library.get(b"gss_display_name\0")?,
                release_name: *library.get(b"gss_release_name\0")?,
                acquire_cred_from: *library.get(b"gss_acquire_cred_from\0")?,
                set_neg_mechs: *library.get(b"gss_set_neg_mechs\0")?,
                release_cred: *library.get(b"gss_release_cred\0")?,
                accept_sec_context: *library.get(b"gss_accept_sec_context\0")?,
                delete_sec_context: *library.get(b"gss_delete_sec_context\0")?,
                release_buffer: *library.get(b"gss_release_buffer\0")?,
                display_status: *library.get(b"gss_display_status\0")?,
                error_message: *library.get(b"error_message\0")?,
                _library: library,
            })
        }
    }

    /// Takes over what the library put into a buffer.
    fn take(&self, mut buffer: Buffer) -> Vec<u8> {
        if buffer.value.is_null() {
            return Vec::new();
        }
        // SAFETY: the library has filled the buffer with `length` bytes.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.value.cast::<u8>(), buffer.length) }.to_vec();
        let mut minor = 0;
        // SAFETY: the buffer is the library's, and is not used again.
        unsafe { (self.release_buffer)(&mut minor, &mut buffer) };
        bytes
    }

    /// The text of a status, one part after the other.
    pub fn display_status(&self, code: Word, kind: c_int) -> Vec<u8> {
        let mut text = Vec::new();
        let mut more = 0;
        // Each round yields one message; a library that never ends is given up.
        for _ in 0..8 {
            let (mut minor, mut buffer) = (0, Buffer::EMPTY);
            // SAFETY: every pointer is to a live value; no OID means the mechanism that the code is from.
            let major =
                unsafe { (self.display_status)(&mut minor, code, kind, ptr::null(), &mut more, &mut buffer) };
            let part = self.take(buffer);
            if major & ERRORS != 0 {
                break;
            }
            if !text.is_empty() {
                text.extend_from_slice(b" ");
            }
            text.extend_from_slice(&part);
            if more == 0 {
                break;
            }
        }
        text
    }

    /// The text of an error code of Kerberos or of the system.
    pub fn error_message(&self, code: i32) -> Vec<u8> {
        // SAFETY: returns a text that stays, or one of this thread's that the next call overwrites.
        unsafe {
            let text = (self.error_message)(c_long::from(code));
            if text.is_null() { Vec::new() } else { CStr::from_ptr(text).to_bytes().to_vec() }
        }
    }
}

/// A name.
pub struct Name<'a> {
    functions: &'a Functions,
    handle: Handle,
}

impl<'a> Name<'a> {
    pub fn import(functions: &'a Functions, text: &[u8], kind: &Oid) -> Result<Self, Status> {
        let (mut minor, mut handle) = (0, ptr::null_mut());
        let text = Buffer::reading(text);
        // SAFETY: every pointer is to a live value.
        let major = unsafe { (functions.import_name)(&mut minor, &text, kind, &mut handle) };
        let name = Self { functions, handle };
        if major & ERRORS == 0 { Ok(name) } else { Err(Status { major, minor }) }
    }

    /// As text, with the mechanism's own escapes.
    pub fn display(&self) -> Result<Vec<u8>, Status> {
        let (mut minor, mut buffer) = (0, Buffer::EMPTY);
        // SAFETY: the name is alive, and the buffer empty.
        let major =
            unsafe { (self.functions.display_name)(&mut minor, self.handle, &mut buffer, ptr::null_mut()) };
        let text = self.functions.take(buffer);
        if major & ERRORS == 0 { Ok(text) } else { Err(Status { major, minor }) }
    }
}

impl Drop for Name<'_> {
    fn drop(&mut self) {
        let mut minor = 0;
        if !self.handle.is_null() {
            // SAFETY: the handle is ours, and is not used again.
            unsafe { (self.functions.release_name)(&mut minor, &mut self.handle) };
        }
    }
}

/// What contexts are accepted with.
pub struct Credential<'a> {
    functions: &'a Functions,
    handle: Handle,
}

impl<'a> Credential<'a> {
    pub fn acquire(
        functions: &'a Functions,
        name: Option<&Name<'_>>,
        mechanisms: &OidSet,
        store: &KeyValues<'_>,
    ) -> Result<Self, Status> {
        let (mut minor, mut handle) = (0, ptr::null_mut());
        let store = if store.count == 0 { ptr::null() } else { ptr::from_ref(store) };
        // SAFETY: every pointer is to a live value, or null where RFC 2744 and MIT allow it.
        let major = unsafe {
            (functions.acquire_cred_from)(
                &mut minor,
                name.map_or(ptr::null_mut(), |name| name.handle),
                INDEFINITE,
                mechanisms,
                ACCEPT,
                store,
                &mut handle,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let credential = Self { functions, handle };
        if major & ERRORS == 0 { Ok(credential) } else { Err(Status { major, minor }) }
    }

    /// Limits what SPNEGO agrees on: other mechanisms may be installed.
    pub fn negotiate_only(&mut self, mechanisms: &OidSet) -> Result<(), Status> {
        let mut minor = 0;
        // SAFETY: every pointer is to a live value.
        let major = unsafe { (self.functions.set_neg_mechs)(&mut minor, self.handle, mechanisms) };
        if major & ERRORS == 0 { Ok(()) } else { Err(Status { major, minor }) }
    }
}

impl Drop for Credential<'_> {
    fn drop(&mut self) {
        let mut minor = 0;
        if !self.handle.is_null() {
            // SAFETY: the handle is ours, and is not used again.
            unsafe { (self.functions.release_cred)(&mut minor, &mut self.handle) };
        }
    }
}

/// A security context. Only what it says at its beginning is of interest.
pub struct Context<'a> {
    functions: &'a Functions,
    handle: Handle,
}

/// What a token led to.
pub struct Accepted<'a> {
    pub client: Name<'a>,
    pub reply: Vec<u8>,
    pub lifetime: Word,
    pub continues: bool,
    pub by_kerberos: bool,
    pub anonymous: bool,
}

impl<'a> Context<'a> {
    /// Accepts a first token. The context ends here.
    pub fn accept(
        functions: &'a Functions,
        credential: &Credential<'_>,
        token: &[u8],
    ) -> Result<Accepted<'a>, Status> {
        let mut context = Self { functions, handle: ptr::null_mut() };
        let mut client = Name { functions, handle: ptr::null_mut() };
        let (mut minor, mut flags, mut lifetime) = (0, 0, 0);
        let mut mechanism = ptr::null();
        let mut reply = Buffer::EMPTY;
        let token = Buffer::reading(token);
        // SAFETY: every pointer is to a live value, or null where RFC 2744 allows it: no channel bindings,
        // and no interest in credentials that the client delegates.
        let major = unsafe {
            (functions.accept_sec_context)(
                &mut minor,
                &mut context.handle,
                credential.handle,
                &token,
                ptr::null(),
                &mut client.handle,
                &mut mechanism,
                &mut reply,
                &mut flags,
                &mut lifetime,
                ptr::null_mut(),
            )
        };
        let reply = functions.take(reply);
        let status = Status { major, minor };
        if major & ERRORS != 0 {
            return Err(status);
        }
        let mechanism: &[u8] = if mechanism.is_null() {
            &[]
        } else {
            // SAFETY: the mechanism's OID is constant memory of the library's (RFC 2744, section 5.1).
            unsafe { (*mechanism).bytes() }
        };
        Ok(Accepted {
            client,
            reply,
            lifetime,
            continues: major & CONTINUE_NEEDED != 0,
            by_kerberos: mechanism == KERBEROS,
            anonymous: flags & ANONYMOUS != 0,
        })
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        let mut minor = 0;
        if !self.handle.is_null() {
            // SAFETY: the handle is ours, and is not used again; no token is wanted.
            unsafe { (self.functions.delete_sec_context)(&mut minor, &mut self.handle, ptr::null_mut()) };
        }
    }
}
