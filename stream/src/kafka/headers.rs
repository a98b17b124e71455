//! Headers to and from librdkafka. The one place of this crate with `unsafe`: rdkafka's own reader panics on a header
//! whose name is not UTF-8, and any client may send one to a raw topic.
#![expect(unsafe_code, reason = "rdkafka's safe reader panics on a header name that is not UTF-8")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use rdkafka::bindings;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};
use schemas::header::Headers;

/// In order, repeated names included. A name that is not UTF-8 has U+FFFD where it is not; a value that is null is empty.
pub(super) fn read(message: &BorrowedMessage<'_>) -> Headers {
    let mut list = ptr::null_mut();
    // SAFETY: the message outlives this function, and with it the header list that it owns.
    let code = unsafe { bindings::rd_kafka_message_headers(message.ptr(), &mut list) };
    if code != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null() {
        return Vec::new();
    }
    // SAFETY: the list is valid, see above.
    let count = unsafe { bindings::rd_kafka_header_cnt(list) };
    let mut headers = Vec::with_capacity(count);
    for index in 0..count {
        let mut name: *const c_char = ptr::null();
        let mut value: *const c_void = ptr::null();
        let mut size = 0;
        // SAFETY: the three out-pointers are valid, and so is the list.
        let code = unsafe { bindings::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size) };
        if code != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            break;
        }
        // SAFETY: librdkafka ends names with a zero byte and keeps them as long as the message.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        let value = if value.is_null() || size == 0 {
            Vec::new()
        } else {
            // SAFETY: librdkafka says that `size` bytes stand at `value`, as long as the message lives.
            unsafe { std::slice::from_raw_parts(value.cast::<u8>(), size) }.to_vec()
        };
        headers.push((name, value));
    }
    headers
}

/// `None` when there are none.
pub(super) fn write(headers: &Headers) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let list = OwnedHeaders::new_with_capacity(headers.len());
    Some(
        headers.iter().fold(list, |list, (name, value)| {
            list.insert(Header { key: name.as_str(), value: Some(value.as_slice()) })
        }),
    )
}
