//! What the first comment of each example says of it.

use crate::origin::Origin;
use crate::program::{Server, example, lines};

#[track_caller]
fn assert_lines(lines: &[String], expected: &[&[&str]]) {
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, parts) in lines.iter().zip(expected) {
        for part in *parts {
            assert!(line.contains(part), "no {part:?} in {line:?}");
        }
    }
}

#[test]
#[cfg(feature = "sqlite")]
fn hyper_client_asks_once() {
    let lines = lines(&mut example("hyper_client"));
    assert_lines(&lines, &[&["larder; fwd=uri-miss", "; stored"], &["larder; hit; ttl=3"]]);
    // Both times the whole of it.
    assert_eq!(lines[0].split(',').next(), lines[1].split(',').next());
    assert!(!lines[0].starts_with("0 bytes"));
}

#[test]
fn per_request_has_every_wish_granted() {
    assert_lines(
        &lines(&mut example("per_request")),
        &[
            &["only if cached", " 504 "],
            &["by the rules", " 200 ", "; fwd=uri-miss", "; stored"],
            &["by the rules", " 200 ", "; hit"],
            &["bypass", " 200 ", "; fwd=bypass"],
            &["revalidate", " 200 ", "; fwd=request"],
            &["reload", " 200 ", "; fwd=request", "; stored"],
            &["only if cached", " 200 ", "; hit"],
        ],
    );
}

#[test]
fn cache_status_tells_it_three_ways() {
    let lines = lines(&mut example("cache_status"));
    let (requests, counts) = lines.split_at(8);
    assert_lines(
        &requests[..6],
        &[
            &["/fresh", "from the origin (UriMiss)", "larder; fwd=uri-miss; fwd-status=200; stored"],
            &["/fresh", "from the cache", "larder; hit; ttl="],
            &["/validate", "from the origin (UriMiss)", "larder; fwd=uri-miss; fwd-status=200; stored"],
            &["/validate", "from the origin (Stale)", "larder; fwd=stale; fwd-status=304"],
            &["/secret", "from the origin (UriMiss)", "larder; fwd=uri-miss; fwd-status=200"],
            &["/secret", "from the origin (UriMiss)", "larder; fwd=uri-miss; fwd-status=200"],
        ],
    );
    assert!(
        requests[4..6].iter().all(|line| !line.contains("stored;") && !line.ends_with("stored")),
        "{lines:#?}"
    );
    // Two ask at once; on a busy machine the second may come when the first is back already.
    let spared =
        |line: &&String| line.contains("brought by another request") || line.contains("from the cache");
    assert_eq!(requests[6..].iter().filter(spared).count(), 1, "{lines:#?}");
    let count = |name: &str| {
        let line = counts.iter().find_map(|line| line.trim().strip_prefix(&format!("{name}: ")));
        line.and_then(|number| number.trim_end_matches(',').parse::<u64>().ok())
    };
    assert_eq!(
        count("hits").zip(count("collapsed")).map(|(hits, spared)| hits + spared),
        Some(2),
        "{lines:#?}"
    );
    assert_eq!(count("validations"), Some(1), "{lines:#?}");
    assert_eq!(count("freshened"), Some(1), "{lines:#?}");
    assert_eq!(count("stored"), Some(3), "{lines:#?}");
    assert_eq!(count("storage_errors"), Some(0), "{lines:#?}");
}

#[test]
#[cfg(feature = "conformance")]
fn custom_storage_keeps_the_contract_and_answers() {
    // Its conformance run panics at the first sentence of the contract that does not hold.
    let lines = lines(&mut example("custom_storage"));
    let lines = &lines[lines.len() - 2..];
    assert_lines(lines, &[&["larder; fwd=uri-miss", "; stored"], &["larder; hit; ttl="]]);
}

#[test]
#[cfg(feature = "sqlite")]
fn quickstart_starts_warm_the_second_time() {
    let home = tempfile::tempdir().unwrap();
    let run = || lines(example("quickstart").env("HOME", home.path()).env("XDG_CACHE_HOME", home.path()));
    let (first, second) = (run(), run());
    assert!(
        first[0].starts_with("kept in ") && first[0].contains(home.path().to_str().unwrap()),
        "{first:#?}"
    );
    let told = |lines: &[String], url: &str| {
        let of_url = lines.iter().filter(|line| line.contains(url));
        of_url.map(|line| line.split_once("larder; ").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    for url in ["/fresh ", "/moved ", "/greeting (en)", "/greeting (de)"] {
        let hits = |lines: &[String]| told(lines, url).iter().filter(|told| told.starts_with("hit")).count();
        assert!(hits(&first) >= 1, "{first:#?}");
        assert_eq!(hits(&second), 2, "{second:#?}");
    }
    for lines in [&first, &second] {
        // Confirmed with 304 each time, but the first.
        assert!(told(lines, "/validate ")[1].contains("fwd-status=304"), "{lines:#?}");
        assert!(told(lines, "/secret ").iter().all(|told| told.starts_with("fwd=uri-miss")), "{lines:#?}");
        assert!(told(lines, "/secret ").iter().all(|told| !told.ends_with("stored")), "{lines:#?}");
    }
    for (url, words) in [
        ("/fresh ", "from cache"),
        ("/validate ", "confirmed by 304, 4200 bytes saved"),
        ("/secret ", "not stored"),
    ] {
        assert!(
            second.iter().filter(|line| line.contains(url)).all(|line| line.contains(words)),
            "{second:#?}"
        );
    }
    assert!(first.iter().any(|line| line.contains("/fresh ") && line.contains("  stored  ")), "{first:#?}");
    // Two validations, and twice what may not be stored.
    let [.., sum, many] = &second[..] else { panic!("{second:#?}") };
    assert_eq!(sum, "12 requests, 8 hits, 4 origin requests");
    assert!(many.starts_with("1200 times http://quickstart.test/fresh: "), "{many}");
}

#[test]
#[cfg(feature = "sqlite")]
fn quickstart_shows_another_site_and_uses_another_store() {
    let origin = Origin::start();
    let lines = lines(example("quickstart").args(["--store", "memory:"]).arg(origin.url("/70000")));
    assert_eq!(lines[0], "kept in memory:");
    assert_eq!(lines.last().unwrap(), "2 requests, 1 hits, 1 origin requests");
    assert_eq!(origin.asked(), 1);
}

#[test]
#[cfg(feature = "sqlite")]
fn quickstart_has_a_line_for_a_url_that_fails_and_goes_on() {
    let origin = Origin::start();
    // Nobody listens on the port of a name that stands for nothing.
    let urls = ["http://127.0.0.1:1/nobody".to_owned(), origin.url("/10")];
    let ran = example("quickstart").args(["--store", "memory:"]).args(&urls).output().unwrap();
    let printed = String::from_utf8(ran.stdout).unwrap();
    let of = |url: &str| printed.lines().filter(|line| line.contains(url)).collect::<Vec<_>>();
    assert!(
        of(&urls[0]).len() == 2 && of(&urls[0]).iter().all(|line| line.contains(" failed: ")),
        "{printed}"
    );
    assert!(
        of(&urls[1])[0].contains("  stored  ") && of(&urls[1])[1].contains("  from cache  "),
        "{printed}"
    );
    assert!(
        !ran.status.success() && printed.ends_with("4 requests, 1 hits, 3 origin requests\n"),
        "{printed}"
    );

    let ran = example("quickstart").arg("example.org").output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("example.org") && said.contains("try https://example.org"), "{said}");
    let help = lines(example("quickstart").arg("--help")).join(" ");
    assert!(help.contains("sqlite:PATH"), "{help}");
}

#[test]
#[cfg(all(feature = "sqlite", unix))]
fn migrate_moves_everything() {
    let folder = tempfile::tempdir().unwrap();
    let at = |kind: &str, name: &str| format!("{kind}:{}", folder.path().join(name).display());
    let (from, to) = (at("sqlite", "cache.db"), at("file", "cache?format=json"));
    let origin = Origin::start();
    let urls = [origin.url("/10"), origin.url("/200000")];
    lines(example("quickstart").args(["--store", &from]).args(&urls));
    let moved = lines(example("migrate").args([&from, &to]));
    let (none, all) =
        ("0 left as they were newer, 0 unreadable, 0 refused", "2 responses and 0 aliases copied");
    assert_eq!(moved, [format!("{all}, {none}")]);
    // Bodies came along: the origin is asked no more.
    let asked = origin.asked();
    let last = lines(example("quickstart").args(["--store", &to]).args(&urls)).pop().unwrap();
    assert_eq!(last, "4 requests, 4 hits, 0 origin requests");
    assert_eq!(origin.asked(), asked);
}

#[test]
fn axum_outbound_asks_the_other_service_once() {
    let service = Server::start(example("axum_outbound").arg("127.0.0.1:0"), "try: curl -i http://");
    let (first, second) = (service.get("/"), service.get("/"));
    assert!(first.contains("cache-status: larder; fwd=uri-miss") && first.contains("Good day"), "{first}");
    assert!(second.contains("cache-status: larder; hit") && second.contains("Good day"), "{second}");
}

#[test]
fn caching_proxy_asks_its_origin_once() {
    let origin = Origin::start();
    let mut program = example("caching_proxy");
    program.args(["--listen", "127.0.0.1:0", "--cache-status", "--origin"]).arg(origin.url(""));
    let proxy = Server::start(&mut program, "listening on ");
    let (first, second) = (proxy.get("/100000"), proxy.get("/100000"));
    assert!(first.contains("cache-status: larder; fwd=uri-miss"), "{}", &first[..300]);
    assert!(second.contains("cache-status: larder; hit"), "{}", &second[..300]);
    let body = |response: &str| response.split_once("\r\n\r\n").unwrap().1.len();
    assert_eq!((body(&first), body(&second)), (100_000, 100_000));
    assert_eq!(origin.asked(), 1);
}
