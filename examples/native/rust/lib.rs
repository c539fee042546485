//! An adder in Rust: the structures of `lcr_component.h`, written down once more, and a component that fills them in.
//!
//! It needs no crate. No panic leaves it: lcr calls it as C.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

// -- lcr_component.h ---------------------------------------------------------------------------------------------------

#[repr(C)]
pub struct Services {
    size: u32,
    is_trial: u32,
    host: *mut c_void,
    log: extern "C" fn(host: *mut c_void, level: c_int, text: *const c_char),
    reference: *const c_void, // not used here, like `release`
    release: *const c_void,
}

#[repr(C)]
pub struct Writer {
    size: u32,
    schema: u32,
    to: *mut c_void,
    write: extern "C" fn(to: *mut c_void, data: *const c_void, size: usize) -> c_int,
}

#[repr(C)]
pub struct Function {
    name: *const c_char,
    signature: *const c_char,
    function: *const c_void,
}

type Constructor = unsafe extern "C" fn(*const Services, *const c_void, usize, *mut *mut c_void) -> c_int;

#[repr(C)]
pub struct Interface {
    size: u32,
    flags: u32,
    name: *const c_char,
    version: *const c_char,
    replaces: *const c_char,
    schema: u32,
    schema_oldest: u32,
    functions: *const Function,
    function_count: usize,
    requirements: *const c_void,
    requirement_count: usize,
    constructor: Constructor,
    destructor: Option<unsafe extern "C" fn(*mut c_void)>,
    state_export: Option<unsafe extern "C" fn(*mut c_void, *const Writer) -> c_int>,
    state_import: Option<unsafe extern "C" fn(*mut c_void, u32, *const c_void, usize) -> c_int>,
    self_test: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
}

#[repr(C)]
pub struct Component {
    size: u32,
    abi: u32,
    about: *const c_char,
    interfaces: *const &'static Interface,
    interface_count: usize,
}

/// A constant that holds pointers; they lead to what never changes.
struct Fixed<T>(T);
unsafe impl<T> Sync for Fixed<T> {}
unsafe impl Sync for Interface {}
unsafe impl Sync for Component {}

const ERROR: c_int = 40;

// -- the component -----------------------------------------------------------------------------------------------------

struct Adder {
    services: &'static Services,
    sum: AtomicI64,
}

impl Adder {
    fn fail(&self, why: &CStr) -> c_int {
        (self.services.log)(self.services.host, ERROR, why.as_ptr());
        -1
    }
}

/// The border: runs `inside` on the instance; when that panics, logs it and returns `failed`.
unsafe fn guarded<T>(this: *mut c_void, failed: T, inside: impl FnOnce(&Adder) -> T) -> T {
    let adder = &*(this as *const Adder);
    catch_unwind(AssertUnwindSafe(|| inside(adder))).unwrap_or_else(|_| {
        adder.fail(c"the adder panicked");
        failed
    })
}

unsafe extern "C" fn add(this: *mut c_void, amount: i64) -> i64 {
    guarded(this, 0, |adder| adder.sum.fetch_add(amount, SeqCst).wrapping_add(amount))
}

unsafe extern "C" fn sum(this: *mut c_void) -> i64 {
    guarded(this, 0, |adder| adder.sum.load(SeqCst))
}

/// To see that a panic is an error in the log and a 0 here, and not the end of the process.
unsafe extern "C" fn divide(this: *mut c_void, by: i64) -> i64 {
    guarded(this, 0, |adder| adder.sum.load(SeqCst) / by)
}

unsafe extern "C" fn construct(
    services: *const Services,
    _context: *const c_void,
    _context_size: usize,
    this: *mut *mut c_void,
) -> c_int {
    let adder = Adder { services: &*services, sum: AtomicI64::new(0) };
    *this = Box::into_raw(Box::new(adder)) as *mut c_void;
    0
}

unsafe extern "C" fn destruct(this: *mut c_void) {
    drop(Box::from_raw(this as *mut Adder));
}

unsafe extern "C" fn export_state(this: *mut c_void, writer: *const Writer) -> c_int {
    guarded(this, -1, |adder| {
        let state = adder.sum.load(SeqCst).to_le_bytes();
        ((*writer).write)((*writer).to, state.as_ptr() as *const c_void, state.len())
    })
}

unsafe extern "C" fn import_state(this: *mut c_void, _schema: u32, data: *const c_void, size: usize) -> c_int {
    guarded(this, -1, |adder| {
        if size != 8 {
            return adder.fail(c"the state is not one number of 8 bytes");
        }
        adder.sum.store(i64::from_le_bytes(*(data as *const [u8; 8])), SeqCst);
        0
    })
}

static FUNCTIONS: Fixed<[Function; 3]> = Fixed([
    function(c"add", c"int64_t(int64_t amount)", add as *const c_void),
    function(c"sum", c"int64_t(void)", sum as *const c_void),
    function(c"divide", c"int64_t(int64_t by)", divide as *const c_void),
]);

const fn function(name: &CStr, signature: &CStr, function: *const c_void) -> Function {
    Function { name: name.as_ptr(), signature: signature.as_ptr(), function }
}

static ADDER: Interface = Interface {
    size: size_of::<Interface>() as u32,
    flags: 0,
    name: c"adder".as_ptr(),
    version: c"1.0".as_ptr(),
    replaces: std::ptr::null(),
    schema: 1,
    schema_oldest: 1,
    functions: &FUNCTIONS.0 as *const Function,
    function_count: FUNCTIONS.0.len(),
    requirements: std::ptr::null(),
    requirement_count: 0,
    constructor: construct,
    destructor: Some(destruct),
    state_export: Some(export_state),
    state_import: Some(import_state),
    self_test: None,
};

static INTERFACES: [&Interface; 1] = [&ADDER];

#[no_mangle]
#[allow(non_upper_case_globals)]
pub static lcr_component: Component = Component {
    size: size_of::<Component>() as u32,
    abi: 1,
    about: c"adds up, in Rust".as_ptr(),
    interfaces: &INTERFACES as *const &Interface,
    interface_count: INTERFACES.len(),
};
