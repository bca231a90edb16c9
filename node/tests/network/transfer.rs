//! Frames and bulk data arrive complete, in order, and no faster than they are read.

use consort_node::{
    limits,
    network::{BulkStream, Event, OpenError, SendError},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::consortium::{Node, QUIC, TCP, id, line, within};

/// Bytes that differ from frame to frame and within one.
fn pattern(index: u32, length: usize) -> Vec<u8> {
    let mut state = index.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

async fn frames_arrive_in_order_and_a_slow_reader_holds_the_sender_back(listen: &str) {
    const FRAMES: u32 = 10_000;
    let frame = |index: u32| pattern(index, 1000 + (index as usize % 97));
    let mut nodes = line(2, listen).await;
    let mut reader = nodes.pop().unwrap();
    let sender = nodes.pop().unwrap();
    let network = sender.network.clone();

    // Nobody reads yet, so the sender has to be stopped long before the end.
    let mut sent = 0;
    while sent < FRAMES {
        match network.send(id(1), frame(sent)).await {
            Ok(()) => sent += 1,
            Err(error) => {
                assert_eq!(error, SendError::QueueFull(id(1)));
                break;
            }
        }
    }
    assert!(sent < FRAMES, "somewhere all of them are buffered");

    let rest = tokio::spawn(async move {
        for index in sent..FRAMES {
            while network.send(id(1), frame(index)).await == Err(SendError::QueueFull(id(1))) {}
        }
    });
    for index in 0..FRAMES {
        let (from, bytes) = reader.frame().await;
        assert_eq!(from, id(0));
        assert!(bytes == frame(index), "frame {index} of {} bytes is not what was sent", bytes.len());
    }
    within(rest).await.unwrap();
}

#[tokio::test]
async fn frames_arrive_in_order_and_a_slow_reader_holds_the_sender_back_over_tcp() {
    frames_arrive_in_order_and_a_slow_reader_holds_the_sender_back(TCP).await;
}

#[tokio::test]
async fn frames_arrive_in_order_and_a_slow_reader_holds_the_sender_back_over_quic() {
    frames_arrive_in_order_and_a_slow_reader_holds_the_sender_back(QUIC).await;
}

#[tokio::test]
async fn the_largest_frame_arrives_and_a_larger_one_is_refused() {
    let mut nodes = line(2, TCP).await;
    let mut reader = nodes.pop().unwrap();
    let network = &nodes[0].network;
    let found = limits::MAX_FRAME_BYTES + 1;
    assert_eq!(network.send(id(1), vec![0; found]).await, Err(SendError::TooLarge { found }));
    let largest = pattern(7, limits::MAX_FRAME_BYTES);
    network.send(id(1), largest.clone()).await.unwrap();
    network.send(id(1), vec![]).await.unwrap();
    assert!(reader.frame().await.1 == largest);
    assert!(reader.frame().await.1.is_empty());
    let framing = 2 * 5;
    assert!(network.bytes_sent() >= (largest.len() + framing) as u64);
    assert!(reader.network.bytes_received() >= (largest.len() + framing) as u64);
}

async fn bulk(node: &mut Node) -> BulkStream {
    node.next(|event| match event {
        Event::Bulk { from, stream } => {
            assert_eq!(from, stream.member());
            Some(stream)
        }
        _ => None,
    })
    .await
}

async fn a_bulk_stream_carries_64_mib_intact(listen: &str) {
    const CHUNK: usize = 64 << 10;
    const CHUNKS: u32 = 1024;
    let mut nodes = line(2, listen).await;
    let mut reader = nodes.pop().unwrap();
    let network = nodes[0].network.clone();
    let before = network.bytes_sent();
    let writer = tokio::spawn(async move {
        let mut stream = network.open_bulk(id(1)).await.unwrap();
        for chunk in 0..CHUNKS {
            stream.write_all(&pattern(chunk, CHUNK)).await.unwrap();
        }
        stream.shutdown().await.unwrap();
        // The acknowledgement comes after everything, in the other direction.
        assert_eq!(stream.read_u32_le().await.unwrap(), CHUNKS);
        network.bytes_sent()
    });
    let mut stream = bulk(&mut reader).await;
    let mut buffer = vec![0; CHUNK];
    for chunk in 0..CHUNKS {
        within(stream.read_exact(&mut buffer)).await.unwrap();
        assert!(buffer == pattern(chunk, CHUNK), "chunk {chunk} is not what was sent");
    }
    assert_eq!(within(stream.read(&mut buffer)).await.unwrap(), 0, "nothing follows the last chunk");
    stream.write_u32_le(CHUNKS).await.unwrap();
    stream.shutdown().await.unwrap();
    let counted = within(writer).await.unwrap() - before;
    let payload = u64::from(CHUNKS) * CHUNK as u64;
    assert!(counted >= payload && counted < payload + payload / 100, "{counted} bytes counted");
}

#[tokio::test]
async fn a_bulk_stream_carries_64_mib_intact_over_tcp() {
    a_bulk_stream_carries_64_mib_intact(TCP).await;
}

#[tokio::test]
async fn a_bulk_stream_carries_64_mib_intact_over_quic() {
    a_bulk_stream_carries_64_mib_intact(QUIC).await;
}

#[tokio::test]
async fn bulk_streams_of_a_peer_are_bounded_and_a_dropped_one_makes_room() {
    let mut nodes = line(2, TCP).await;
    let mut reader = nodes.pop().unwrap();
    let network = &nodes[0].network;
    let mut held = Vec::new();
    for _ in 0..limits::MAX_BULK_PER_PEER {
        let near = network.open_bulk(id(1)).await.unwrap();
        held.push((near, bulk(&mut reader).await));
    }
    assert_eq!(network.open_bulk(id(1)).await.err(), Some(OpenError::Busy(id(1))));
    held.pop();
    network.open_bulk(id(1)).await.unwrap();
    assert_eq!(network.open_bulk(id(9)).await.err(), Some(OpenError::NotConnected(id(9))));
}

/// Members open their bulk streams to one of them in the same moment, as members upload to an aggregator.
#[tokio::test]
async fn bulk_streams_that_open_all_at_once_all_arrive() {
    let mut nodes = line(6, TCP).await;
    let mut reader = nodes.pop().unwrap();
    let mut writers = Vec::new();
    for index in 0..20u32 {
        let network = nodes[index as usize % 5].network.clone();
        writers.push(tokio::spawn(async move {
            let mut stream = network.open_bulk(id(5)).await.unwrap();
            stream.write_u32_le(index).await.unwrap();
            stream.shutdown().await.unwrap();
            stream.read_u8().await.unwrap()
        }));
    }
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut stream = bulk(&mut reader).await;
        let index = within(stream.read_u32_le()).await.unwrap();
        held.push((index, stream));
    }
    held.sort_by_key(|(index, _)| *index);
    for (expected, (index, stream)) in (0..).zip(&mut held) {
        assert_eq!(*index, expected);
        stream.write_u8(1).await.unwrap();
    }
    for writer in writers {
        assert_eq!(within(writer).await.unwrap(), 1);
    }
}
