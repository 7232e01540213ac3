//! Bodies larger than memory should have to hold.
#![cfg(target_os = "linux")]

use bytes::Bytes;
use larder::entry::BodyEnd;
use larder::storage::{BodyReader, BodyWriter, Published, Storage};

use crate::server::{Server, builder, head, key};

const MIB: usize = 1024 * 1024;

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn a_quarter_of_a_gibibyte_streams_in_64_mebibytes() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = builder().connect(server.url()).await.unwrap();
    let (before, mut most) = (resident(), 0);
    let fence = storage.lookup(&key("big")).await.unwrap().fence;
    let mut writer = storage.begin(head("big"), fence).await.unwrap();
    for number in 0..256_u32 {
        writer.write(Bytes::from(vec![number as u8; MIB])).await.unwrap();
        most = most.max(resident());
    }
    assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Stored);
    let found = storage.lookup(&key("big")).await.unwrap();
    let mut reader = storage.open(&found.responses[0].head).await.unwrap();
    let mut len = 0;
    while let Some(piece) = reader.next().await.unwrap() {
        assert!(piece.iter().all(|byte| usize::from(*byte) == len / MIB));
        len += piece.len();
        most = most.max(resident());
    }
    assert_eq!(len, 256 * MIB);
    let grown = most.saturating_sub(before) / MIB;
    println!("resident memory grew by {grown} MiB");
    assert!(grown < 64, "resident memory grew by {grown} MiB");
}
