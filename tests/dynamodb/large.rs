//! A large body in little memory.
#![cfg(target_os = "linux")]

use bytes::Bytes;
use larder::entry::BodyEnd;
use larder::storage::{BodyReader, BodyWriter, Published, Storage};

use crate::samples::{head, only};
use crate::server::{self, builder, client, table};

const LEN: usize = 256 << 20;
const PIECE: usize = 64 << 10;
/// Resident memory may grow by this much.
const BOUND: u64 = 64 << 20;

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarter_of_a_gibibyte_streams_in_64_mib() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    let (before, mut most) = (resident(), 0);
    let head = head("large");
    let fence = storage.lookup(&head.key).await.unwrap().fence;
    let mut writer = storage.begin(head, fence).await.unwrap();
    for number in 0..LEN / PIECE {
        writer.write(Bytes::from(vec![(number % 251) as u8; PIECE])).await.unwrap();
        most = most.max(if number % 64 == 0 { resident() } else { 0 });
    }
    assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Stored);
    let found = only(&storage, "large").await;
    assert_eq!(found.head.body_len(), LEN as u64);
    let mut reader = storage.open(&found.head).await.unwrap();
    let mut at = 0;
    while let Some(piece) = reader.next().await.unwrap() {
        for (number, byte) in piece.iter().enumerate().step_by(4099) {
            assert_eq!(usize::from(*byte), (at + number) / PIECE % 251);
        }
        at += piece.len();
        most = most.max(resident());
    }
    assert_eq!(at, LEN);
    let grown = most.saturating_sub(before);
    println!("{} MiB more resident", grown >> 20);
    assert!(grown < BOUND, "{} MiB more resident", grown >> 20);
    drop(client.delete_table().table_name(&table).send().await);
}
