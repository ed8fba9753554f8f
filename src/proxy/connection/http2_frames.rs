//! The frames of an HTTP/2 connection (RFC 9113, section 4.1), counted as they pass by.
//!
//! The `h2` crate bounds what a flood of frames costs in memory, and ends a connection for some of
//! them (`CONTINUATION`, small and empty `DATA`). It answers any number of `PING` and `SETTINGS`,
//! and lets a client open and reset streams without end (CVE-2023-44487). A [`FrameBudget`] ends
//! the connection for those. A [`FrameScanner`] finds the frames in the bytes, and looks at nothing
//! but their headers.

use std::time::Duration;

use tokio::time::Instant;

/// The length of a frame header, in bytes.
const HEADER: usize = 9;

/// The length of what a client sends before its first frame (RFC 9113, section 3.4), in bytes.
const PREFACE: usize = 24;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const CONTINUATION: u8 = 0x9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// What a frame is, as far as a [`FrameBudget`] cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// `HEADERS`.
    Headers,
    /// `DATA` with a body, or the end of one.
    Data,
    /// `DATA` with nothing.
    EmptyData,
    /// `RST_STREAM`.
    Reset,
    /// `SETTINGS`.
    Settings,
    /// `CONTINUATION`, `GOAWAY`, `PING`, `PRIORITY`, `WINDOW_UPDATE`, and what nobody knows.
    Other,
}

/// Finds frames in one direction of a connection.
#[derive(Debug)]
pub(super) struct FrameScanner {
    /// The bytes of the next frame header so far.
    header: [u8; HEADER],
    read: usize,
    /// The bytes that are left of the current frame, or of the preface.
    payload_left: usize,
    /// Whether the current frame is the last one of a head.
    ends_head: bool,
    is_in_head: bool,
    /// The number of heads that were complete.
    heads: usize,
}

impl FrameScanner {
    /// For what a client sends, from the first byte of the preface on.
    pub(super) fn of_client() -> Self {
        Self::new(PREFACE)
    }

    /// For what a server sends.
    pub(super) fn of_server() -> Self {
        Self::new(0)
    }

    fn new(payload_left: usize) -> Self {
        Self {
            header: [0; HEADER],
            read: 0,
            payload_left,
            ends_head: false,
            is_in_head: false,
            heads: 0,
        }
    }

    /// Whether a head has begun and is not complete.
    pub(super) fn is_in_head(&self) -> bool {
        self.is_in_head
    }

    /// The number of heads that are complete.
    pub(super) fn heads(&self) -> usize {
        self.heads
    }

    /// Takes in the bytes that came next, and calls `found` for each frame that begins in them.
    pub(super) fn scan(&mut self, mut bytes: &[u8], mut found: impl FnMut(FrameKind)) {
        while !bytes.is_empty() {
            let skipped = self.payload_left.min(bytes.len());
            self.payload_left -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if self.payload_left == 0 {
                self.finish_frame();
                for byte in bytes.iter().take(HEADER - self.read) {
                    if let Some(place) = self.header.get_mut(self.read) {
                        *place = *byte;
                    }
                    self.read += 1;
                    bytes = bytes.get(1..).unwrap_or_default();
                }
                if self.read == HEADER {
                    self.read = 0;
                    found(self.begin_frame());
                }
            }
        }
        if self.payload_left == 0 {
            self.finish_frame();
        }
    }

    /// Notes that the frame is complete, if there is one.
    fn finish_frame(&mut self) {
        if self.ends_head {
            self.ends_head = false;
            self.is_in_head = false;
            self.heads += 1;
        }
    }

    /// Reads the frame header.
    fn begin_frame(&mut self) -> FrameKind {
        let [high, middle, low, kind, flags, ..] = self.header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.payload_left = length;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.is_in_head = true;
            self.ends_head = flags & END_HEADERS != 0;
        }
        match kind {
            DATA if length == 0 && flags & END_STREAM == 0 => FrameKind::EmptyData,
            DATA => FrameKind::Data,
            HEADERS => FrameKind::Headers,
            RST_STREAM => FrameKind::Reset,
            SETTINGS => FrameKind::Settings,
            _ => FrameKind::Other,
        }
    }
}

/// How many frames a client may still send beside its requests and their bodies. What is useful
/// adds to it, and so does time.
#[derive(Debug)]
pub(super) struct FrameBudget {
    left: u32,
    refilled: Instant,
}

/// The most that a budget holds. With every stream busy, a browser sends no more than a few frames
/// for each at once.
const FULL: u32 = 1000;
/// How much time adds to a budget: this much each interval.
const REFILL: u32 = 10;
const REFILL_INTERVAL: Duration = Duration::from_millis(100);

impl FrameBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: FULL,
            refilled: now,
        }
    }

    /// Takes what a frame of the client costs. Returns `false` where that is too much.
    ///
    /// `now` is asked for only where the budget would be exceeded.
    pub(super) fn receive(&mut self, frame: FrameKind, now: impl FnOnce() -> Instant) -> bool {
        let cost = match frame {
            // Requests and bodies have limits of their own.
            FrameKind::Headers => return true,
            FrameKind::Data => {
                self.add(1);
                return true;
            }
            FrameKind::Other | FrameKind::EmptyData => 1,
            // A request that was begun for nothing: 200 at once, 20 a second.
            FrameKind::Reset => 5,
            // Each one is applied to all streams.
            FrameKind::Settings => 10,
        };
        if self.left < cost {
            self.refill(now());
        }
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Adds what a frame to the client allows it: a client may acknowledge each piece of a body to
    /// the stream and to the connection, and may cancel every other request that was answered.
    pub(super) fn send(&mut self, frame: FrameKind) {
        match frame {
            FrameKind::Data | FrameKind::EmptyData => self.add(4),
            FrameKind::Headers => self.add(10),
            FrameKind::Reset | FrameKind::Settings | FrameKind::Other => {}
        }
    }

    fn add(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(FULL);
    }

    fn refill(&mut self, now: Instant) {
        let intervals = (now - self.refilled).as_millis() / REFILL_INTERVAL.as_millis();
        let more = u32::try_from(intervals).unwrap_or(u32::MAX);
        self.add(more.saturating_mul(REFILL));
        if more > 0 {
            self.refilled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::stopwatch;

    const PING: u8 = 0x6;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [.., high, middle, low] = length.to_be_bytes();
        let mut bytes = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        // A payload that looks like frames.
        bytes.resize(HEADER + length, 0);
        bytes
    }

    fn scan(scanner: &mut FrameScanner, bytes: &[u8], step: usize) -> Vec<FrameKind> {
        let mut found = Vec::new();
        for piece in bytes.chunks(step) {
            scanner.scan(piece, |kind| found.push(kind));
        }
        found
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let bytes = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0),
            frame(HEADERS, END_HEADERS, 70_000),
            frame(DATA, 0, 0),
            frame(DATA, END_STREAM, 0),
            frame(DATA, 0, 300),
            frame(RST_STREAM, 0, 4),
            frame(PING, 0, 8),
            frame(0xee, 0, 1),
        ]
        .concat();
        let expected = [
            FrameKind::Settings,
            FrameKind::Headers,
            FrameKind::EmptyData,
            FrameKind::Data,
            FrameKind::Data,
            FrameKind::Reset,
            FrameKind::Other,
            FrameKind::Other,
        ];
        for step in [1, 5, 9, 400, usize::MAX] {
            let mut scanner = FrameScanner::of_client();
            assert_eq!(scan(&mut scanner, &bytes, step), expected, "{step}");
            assert_eq!(scanner.heads(), 1);
        }
        let answer = [frame(SETTINGS, 0, 6), frame(DATA, 0, 1)].concat();
        let found = scan(&mut FrameScanner::of_server(), &answer, 4);
        assert_eq!(found, [FrameKind::Settings, FrameKind::Data]);
    }

    #[test]
    fn a_head_ends_with_its_last_byte() {
        let whole = [
            frame(HEADERS, 0, 5),
            frame(CONTINUATION, 0, 3),
            frame(CONTINUATION, END_HEADERS, 2),
        ]
        .concat();
        for step in [1, 3, usize::MAX] {
            let mut scanner = FrameScanner::of_server();
            scan(&mut scanner, &whole[..whole.len() - 1], step);
            assert!(scanner.is_in_head());
            assert_eq!(scanner.heads(), 0);
            scan(&mut scanner, &whole[whole.len() - 1..], step);
            assert!(!scanner.is_in_head());
            assert_eq!(scanner.heads(), 1);
        }
        // A trailer section of no bytes is complete with its header.
        let mut scanner = FrameScanner::of_server();
        scan(&mut scanner, &frame(HEADERS, END_HEADERS, 0), usize::MAX);
        assert_eq!((scanner.is_in_head(), scanner.heads()), (false, 1));
    }

    /// How many of these frames in a row a budget allows, 5000 at most.
    fn allowed(budget: &mut FrameBudget, frame: FrameKind, now: Instant) -> usize {
        (0..5000)
            .take_while(|_| budget.receive(frame, || now))
            .count()
    }

    #[test]
    fn a_flood_of_any_kind_is_too_much() {
        let now = stopwatch();
        for (kind, most) in [
            (FrameKind::Other, 1000),
            (FrameKind::EmptyData, 1000),
            (FrameKind::Reset, 200),
            (FrameKind::Settings, 100),
        ] {
            let mut budget = FrameBudget::new(now);
            assert_eq!(allowed(&mut budget, kind, now), most, "{kind:?}");
            // A second later a few more are allowed.
            let later = now + Duration::from_secs(1);
            assert_eq!(allowed(&mut budget, kind, later), most / 10, "{kind:?}");
        }
        for harmless in [FrameKind::Headers, FrameKind::Data] {
            let mut budget = FrameBudget::new(now);
            assert_eq!(allowed(&mut budget, harmless, now), 5000);
        }
    }

    #[test]
    fn what_is_useful_pays_for_what_comes_with_it() {
        let now = stopwatch();
        let mut budget = FrameBudget::new(now);
        allowed(&mut budget, FrameKind::Other, now);
        for _ in 0..10_000 {
            // An event, and the updates of two windows. A request, its answer, and every other one
            // cancelled.
            budget.send(FrameKind::Data);
            assert!(budget.receive(FrameKind::Other, || now));
            assert!(budget.receive(FrameKind::Other, || now));
            budget.send(FrameKind::Headers);
            assert!(budget.receive(FrameKind::Reset, || now));
        }
    }

    #[test]
    fn rest_restores_no_more_than_a_full_budget() {
        let now = stopwatch();
        let mut budget = FrameBudget::new(now);
        allowed(&mut budget, FrameKind::Other, now);
        let later = now + Duration::from_secs(3600);
        assert_eq!(allowed(&mut budget, FrameKind::Other, later), 1000);
    }
}
