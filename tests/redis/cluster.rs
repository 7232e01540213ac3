//! A cluster of which a part has a bad day.

use std::time::{Duration, Instant};

use larder::storage::{Published, RedisStorage, Storage, StorageErrorKind};

use crate::server::{Server, builder, head, read, store};

fn url(server: &Server) -> String {
    let hosts = server.var("REDIS_CLUSTER_URLS").replace("redis://", "").replace('/', "");
    format!("redis+cluster://{hosts}")
}

/// On different nodes.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

async fn until_stored(storage: &RedisStorage, name: &str) {
    let began = Instant::now();
    loop {
        match store(storage, head(name), 300_000).await {
            Ok(Published::Stored) => return,
            Ok(Published::Superseded) => {}
            Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// With no replicas its slots are gone with a node, and by default the whole cluster stops: misses, not hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_and_restarted_is_used_again() {
    let Some(mut server) = Server::start(&["cluster"]) else { return };
    let storage = builder().timeout(Duration::from_millis(500)).url(url(&server)).connect().await.unwrap();
    for name in NAMES {
        until_stored(&storage, name).await;
    }
    for signal in ["KILL", "STOP"] {
        server.signal("node1", signal);
        let until = Instant::now() + Duration::from_secs(3);
        let mut failed = 0;
        'down: loop {
            for name in NAMES {
                if Instant::now() > until {
                    break 'down;
                }
                let began = Instant::now();
                match read(&storage, name).await {
                    Ok(len) => assert!(matches!(len, None | Some(300_000)), "never short"),
                    Err(error) => {
                        let known = [StorageErrorKind::Unavailable, StorageErrorKind::Timeout];
                        assert!(known.contains(&error.kind()), "{error}");
                        failed += 1;
                    }
                }
                assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(failed > 0);
        if signal == "STOP" {
            server.signal("node1", "CONT");
        } else {
            server.signal("node0", "KILL");
            server.signal("node2", "KILL");
            server.again();
        }
        for name in NAMES {
            until_stored(&storage, name).await;
            assert_eq!(read(&storage, name).await.unwrap(), Some(300_000));
        }
        assert!(storage.usage().await.unwrap().responses >= 6);
    }
}
