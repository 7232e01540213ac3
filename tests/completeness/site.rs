//! An origin that has representations, and sends them as it is told.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use larder::clock::{Clock, ManualClock};

use crate::step::{Answering, Change, Framing, Kind, Ranges, Validator, scaled};
use crate::support::{BoxError, OriginBody, with_body};

/// Names the call of the client that led to a request.
pub(crate) const CALL: &str = "x-call";
const MODIFIED: &str = "last-modified";

/// Something that the origin had.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    pub(crate) tag: Option<String>,
    pub(crate) modified: Option<String>,
    pub(crate) content: Arc<Vec<u8>>,
}

/// One answer of the origin.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) call: String,
    /// 0 where there was no answer.
    pub(crate) status: u16,
    /// What is sent of the body.
    pub(crate) sent: Vec<u8>,
    /// The body ends without an error.
    pub(crate) clean: bool,
    /// The body is not what the head announces.
    pub(crate) faulty: bool,
}

#[derive(Debug)]
pub(crate) struct Site {
    /// Everything it has ever had, or claimed to have.
    pub(crate) had: Vec<Representation>,
    /// Which of them are real ones, and how long they are.
    versions: Vec<usize>,
    current: usize,
    first_len: usize,
    store_close_delimited: bool,
    clock: ManualClock,
    pub(crate) answers: VecDeque<Answering>,
    pub(crate) exchanges: Vec<Exchange>,
}

/// The bytes of a version: any two differ at every place.
fn content(version: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u8).wrapping_mul(31) ^ ((at >> 8) as u8) ^ (version as u8).wrapping_mul(37))
        .collect()
}

impl Site {
    pub(crate) fn new(len: usize, store_close_delimited: bool, clock: ManualClock) -> Self {
        let mut site = Self {
            had: Vec::new(),
            versions: Vec::new(),
            current: 0,
            first_len: len,
            store_close_delimited,
            clock,
            answers: VecDeque::new(),
            exchanges: Vec::new(),
        };
        site.change(&Change { len: None, validator: Validator::Strong });
        site
    }

    pub(crate) fn change(&mut self, change: &Change) {
        // No two changes in one second, so that a date names one of them.
        self.clock.advance(Duration::from_secs(1));
        let version = self.versions.len();
        let len = change.len.map_or(self.first_len, |len| scaled(len, 2 * self.first_len));
        let tag = match change.validator {
            Validator::Strong => Some(format!("\"v{version}\"")),
            // Weak tags may be the same for different bytes.
            Validator::Weak => Some(format!("W/\"w{}\"", version % 2)),
            Validator::Date | Validator::None => None,
        };
        let modified = (change.validator == Validator::Date).then(|| self.date());
        let content = Arc::new(content(version, len));
        self.current = self.had.len();
        self.versions.push(self.current);
        self.had.push(Representation { tag, modified, content });
    }

    pub(crate) fn back(&mut self, version: u8) {
        self.current = self.versions[usize::from(version) % self.versions.len()];
    }

    pub(crate) fn current(&self) -> &Representation {
        &self.had[self.current]
    }

    fn date(&self) -> String {
        let seconds = u64::try_from(self.clock.now().as_secs()).unwrap();
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    pub(crate) fn answer(&mut self, asked: &Parts) -> Result<Response<OriginBody>, BoxError> {
        let usual = Answering {
            framing: Framing::Length,
            cut: None,
            surplus: 0,
            ranges: Ranges::Honoured,
            kind: Kind::Usual,
            cache_control: "max-age=60",
            pieces: 1,
            slow: false,
            trailers: false,
        };
        let answering = self.answers.pop_front().unwrap_or(usual);
        let call = field(asked, CALL).unwrap_or_default().to_owned();
        let mut exchange = Exchange { call, status: 0, sent: Vec::new(), clean: true, faulty: false };
        let answer = self.make(asked, &answering, &mut exchange);
        exchange.status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
        self.exchanges.push(exchange);
        answer
    }

    fn make(
        &mut self,
        asked: &Parts,
        how: &Answering,
        exchange: &mut Exchange,
    ) -> Result<Response<OriginBody>, BoxError> {
        let current = self.current().clone();
        let mut fields = vec![("date", self.date()), ("cache-control", how.cache_control.to_owned())];
        fields.retain(|(_, value)| !value.is_empty());
        fields.extend(current.tag.clone().map(|tag| ("etag", tag)));
        fields.extend(current.modified.clone().map(|date| (MODIFIED, date)));
        if asked.method == "POST" {
            return Ok(head(200, &[("cache-control", "no-store".to_owned())], Sending::default()));
        }
        match how.kind {
            Kind::Gone => return Err("gone".into()),
            Kind::Failing => return Ok(head(503, &[], Sending::default())),
            Kind::NotModified => return Ok(head(304, &fields, Sending::default())),
            Kind::Usual | Kind::Partial => {}
        }
        if not_modified(asked, &current) {
            return Ok(head(304, &fields, Sending::default()));
        }
        let len = current.content.len();
        let range =
            field(asked, "range").filter(|_| how.ranges != Ranges::Ignored && range_applies(asked, &current));
        let range = match range {
            Some(range) => Some(bounds(range, len)),
            None => (how.kind == Kind::Partial && len > 0).then_some(Some((0, len / 2))),
        };
        if asked.method == "HEAD" {
            fields.push(("content-length", len.to_string()));
            return Ok(head(200, &fields, Sending::default()));
        }
        let Some(range) = range else {
            return Ok(self.send(200, fields, &current.content, None, how, exchange));
        };
        let Some((first, last)) = range.filter(|_| how.ranges != Ranges::Unsatisfiable) else {
            fields.push(("content-range", format!("bytes */{len}")));
            return Ok(head(416, &fields, Sending::default()));
        };
        let (first, last) = match how.ranges {
            Ranges::Short => (first, first + (last - first) / 2),
            Ranges::Long => (first / 2, len - 1),
            Ranges::Shifted if last + 1 < len => (first + 1, last + 1),
            Ranges::Shifted => (first.saturating_sub(1), last.saturating_sub(1)),
            _ => (first, last),
        };
        let (said, content) = match how.ranges {
            Ranges::Unknown => (format!("bytes {first}-{last}/*"), &current.content[first..=last]),
            Ranges::Invalid => (format!("bytes {last}-{first}/{last}"), &current.content[first..=last]),
            Ranges::Multipart => {
                fields.push(("content-type", "multipart/byteranges; boundary=x".to_owned()));
                (format!("bytes {first}-{last}/{len}"), &b"--x--"[..])
            }
            _ => (format!("bytes {first}-{last}/{len}"), &current.content[first..=last]),
        };
        fields.push(("content-range", said));
        Ok(self.send(206, fields, content, Some(content.len()), how, exchange))
    }

    /// Frames the content, and cuts it.
    fn send(
        &mut self,
        status: u16,
        mut fields: Vec<(&str, String)>,
        content: &[u8],
        announced: Option<usize>,
        how: &Answering,
        exchange: &mut Exchange,
    ) -> Response<OriginBody> {
        let len = content.len();
        let mut version = Version::HTTP_11;
        let mut sending = Sending::default();
        let mut announced = announced;
        match how.framing {
            Framing::Length | Framing::StreamLength => {
                fields.push(("content-length", len.to_string()));
                announced = Some(len);
            }
            Framing::Chunked => fields.push(("transfer-encoding", "chunked".to_owned())),
            Framing::Close | Framing::Stream => {}
            Framing::Hint => {
                sending.hint = Some(len as u64);
                announced = Some(len);
            }
        }
        if matches!(how.framing, Framing::Stream | Framing::StreamLength) {
            version = Version::HTTP_2;
        }
        let mut sent = content.to_vec();
        let cut = how.cut.map(|(at, clean)| (scaled(at, len), clean)).filter(|(at, _)| *at < len);
        match cut {
            Some((at, _)) => sent.truncate(at),
            None => sent.extend(std::iter::repeat_n(b'!', usize::from(how.surplus))),
        }
        let clean = cut.is_none_or(|(_, clean)| clean);
        exchange.faulty = !clean || announced.is_some_and(|len| len != sent.len());
        let says_that_it_is_whole = match how.framing {
            Framing::Chunked | Framing::Stream => true,
            Framing::Close => self.store_close_delimited,
            Framing::Length | Framing::StreamLength | Framing::Hint => false,
        };
        if status == 200 && says_that_it_is_whole && clean && sent != content {
            // Nobody can know that this is not all. The origin had it, for a moment.
            let current = self.current().clone();
            self.had.push(Representation { content: Arc::new(sent.clone()), ..current });
        }
        sending.slow = how.slow;
        let size =
            if how.pieces == 0 { sent.len().max(1) } else { sent.len().div_ceil(how.pieces.into()).max(1) };
        for piece in sent.chunks(size) {
            sending.frames.push_back(Ok(Frame::data(Bytes::copy_from_slice(piece))));
            if how.pieces.is_multiple_of(2) {
                sending.frames.push_back(Ok(Frame::data(Bytes::new())));
            }
        }
        if how.trailers && clean {
            fields.push(("trailer", "x-sum".to_owned()));
            let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
            sending.frames.push_back(Ok(Frame::trailers(trailers)));
        }
        if !clean {
            sending.frames.push_back(Err("connection reset".into()));
        }
        (exchange.sent, exchange.clean) = (sent, clean);
        let mut response = head(status, &fields, sending);
        *response.version_mut() = version;
        response
    }
}

fn head(status: u16, fields: &[(&str, String)], body: Sending) -> Response<OriginBody> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut response = with_body(status, &fields, body.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn field<'a>(asked: &'a Parts, name: &str) -> Option<&'a str> {
    asked.headers.get(name).map(|value| value.to_str().unwrap())
}

fn opaque(tag: &str) -> &str {
    tag.trim_start_matches("W/")
}

fn not_modified(asked: &Parts, current: &Representation) -> bool {
    if let Some(tags) = field(asked, "if-none-match") {
        let listed = |own: &String| tags.split(", ").any(|tag| opaque(tag) == opaque(own));
        return current.tag.as_ref().is_some_and(listed);
    }
    field(asked, "if-modified-since").is_some_and(|since| current.modified.as_deref() == Some(since))
}

fn range_applies(asked: &Parts, current: &Representation) -> bool {
    field(asked, "if-range").is_none_or(|one| {
        let tag = current.tag.as_deref().filter(|tag| !tag.starts_with("W/"));
        tag == Some(one) || current.modified.as_deref() == Some(one)
    })
}

/// First and last byte of a satisfiable range.
fn bounds(range: &str, len: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let end = len.checked_sub(1)?;
    let (first, last) = match (first.parse::<usize>().ok(), last.parse::<usize>().ok()) {
        (Some(first), last) => (first, last.unwrap_or(end).min(end)),
        (None, Some(length)) => (len.saturating_sub(length), end),
        (None, None) => panic!("{range}"),
    };
    (first <= last).then_some((first, last))
}

/// A body on its way.
#[derive(Default)]
struct Sending {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    hint: Option<u64>,
    slow: bool,
    waited: bool,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.slow && !self.waited {
            self.waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waited = false;
        let frame = self.frames.pop_front();
        if let (Some(hint), Some(Ok(frame))) = (&mut self.hint, &frame) {
            *hint = hint.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.hint.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
