//! Lookups that come at the same moment.

use std::time::Duration;

use futures_util::future::join_all;
use larder::storage::{RedisStorage, Storage};
use redis::Value;

use crate::server::{Server, builder, head, key, read, store};

async fn stored(server: &Server, names: usize) -> RedisStorage {
    let storage = builder().url(server.url()).connect().await.unwrap();
    for n in 0..names {
        let _ = store(&storage, head(&n.to_string()), 100 + n).await.unwrap();
    }
    storage
}

/// How often the server was asked this.
async fn asked(server: &Server, command: &str) -> usize {
    let Value::BulkString(said) = server.run(&["INFO", "commandstats"]).await else { panic!("text") };
    let said = String::from_utf8(said).unwrap();
    let line = said.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn they_share_one_read_of_the_marks_and_each_gets_its_own_record() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = stored(&server, 20).await;
    let (records, marks) = (asked(&server, "hgetall").await, asked(&server, "hget").await);
    let names: Vec<_> = (0..24).map(|n| n.to_string()).collect();
    let found = join_all(names.iter().map(|name| read(&storage, name))).await;
    for (n, found) in found.into_iter().enumerate() {
        assert_eq!(found.unwrap(), (n < 20).then_some(100 + n));
    }
    assert_eq!(asked(&server, "hgetall").await - records, 24);
    assert_eq!(asked(&server, "hget").await - marks, 2, "for the one that went at once, and for the others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_all_end_though_some_are_dropped_at_any_moment() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = stored(&server, 8).await;
    let task = |n: usize| {
        let storage = storage.clone();
        tokio::spawn(async move {
            for round in 0..50 {
                let (name, len) = ((n % 8).to_string(), 100 + n % 8);
                let reading = read(&storage, &name);
                if !(n + round).is_multiple_of(4) {
                    assert_eq!(reading.await.unwrap(), Some(len));
                    continue;
                }
                tokio::select! {
                    biased;
                    found = reading => assert_eq!(found.unwrap(), Some(len)),
                    () = turns(fastrand::usize(..4)) => {}
                }
            }
        })
    };
    let all = join_all((0..200).map(task));
    for ended in tokio::time::timeout(Duration::from_secs(60), all).await.expect("none waits for ever") {
        ended.unwrap();
    }
    assert_eq!(storage.lookup(&key("3")).await.unwrap().responses.len(), 1);
}

#[tokio::test]
async fn none_waits_for_a_caller_that_does_not_go_on() {
    let Some(server) = Server::start(&["single"]) else { return };
    let storage = stored(&server, 4).await;
    let names = ["0", "1", "2"];
    let mut begun: Vec<_> = names.iter().map(|name| Box::pin(read(&storage, name))).collect();
    for reading in &mut begun {
        assert!(futures_util::poll!(reading).is_pending());
    }
    let found = tokio::time::timeout(Duration::from_secs(5), read(&storage, "3")).await;
    assert_eq!(found.expect("it is told").unwrap(), Some(103));
    for (n, reading) in begun.into_iter().enumerate() {
        assert_eq!(reading.await.unwrap(), Some(100 + n));
    }
}

async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}
