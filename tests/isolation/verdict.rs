//! Whether a response may be seen by who sees it.

use http::Uri;
use larder::key::{DefaultKey, MakeKey, resolve, same_origin, target_uri};

use crate::client::{Call, CallId, Credentials, userinfo};
use crate::origin::{Made, page_of};
use crate::support::Seen;
use crate::world::{Keys, World};

/// What was seen, so that it is known that something was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) responses: u64,
    /// Made for another call than the one that sees it.
    pub(crate) reused: u64,
    /// Of those, made for other credentials or another cookie.
    pub(crate) of_others: u64,
    /// Of those, authorized ones, out of a shared cache.
    pub(crate) by_leave: u64,
    /// Reused at the end of redirects that the cache followed.
    pub(crate) followed: u64,
    /// Reused within a partition.
    pub(crate) partitioned: u64,
    /// Reused under a key that the user named.
    pub(crate) named: u64,
}

/// One URI on the way of a call, and what it is asked with.
struct Hop {
    uri: Uri,
    number: usize,
    /// The way here led to another origin, and nobody is told more there than the user says.
    crossed: bool,
}

pub(crate) fn judge(world: &World, calls: &[Call], id: CallId, seen: &Seen, log: &[Made], tally: &mut Tally) {
    tally.responses += 1;
    for made in log.iter().filter(|made| made.call == id && !same_origin(&made.uri, &calls[id.0].uri)) {
        let sent = Credentials { userinfo: None, ..made.sent.clone() };
        assert_eq!(sent, Credentials::default(), "world {}: another origin is told: {made:?}", world.seed);
    }
    let text = seen.text();
    let whole = seen.status != 206 && !text.is_empty();
    let numbers = [Some(seen.field("x-made")), whole.then_some(text)];
    for number in numbers.into_iter().flatten().filter(|number| !number.is_empty()) {
        let made = &log[number.parse::<usize>().unwrap()];
        if let Err(why) = may_see(world, calls, id, made, tally) {
            panic!(
                "world {}: {why}\nseen: {seen:?}\nby: {:?}\nmade: {made:?}\nfor: {:?}\nin: shared {} keys {:?}",
                world.seed, calls[id.0], calls[made.call.0], world.shared, world.keys,
            );
        }
    }
}

fn may_see(world: &World, calls: &[Call], id: CallId, made: &Made, tally: &mut Tally) -> Result<(), String> {
    let (call, page) = (&calls[id.0], &made.page);
    if made.call == id {
        return Ok(());
    }
    let other = &calls[made.call.0];
    tally.reused += 1;
    if page.says("no-store") {
        return Err("no-store is stored".into());
    }
    if world.shared && page.says("private") {
        return Err("private is given to others".into());
    }
    if world.shared && made.sent.authorized() {
        if !page.gives_leave() {
            return Err("the response to an authorized request is reused without leave".into());
        }
        tally.by_leave += 1;
    }
    let partitions = match world.keys {
        Keys::ByTenant => [call, other].map(|call| call.tenant.map(|tenant| tenant.0.to_owned())),
        Keys::ByCookie => [call, other].map(|call| call.credentials.cookie.clone()),
        _ => [None, None],
    };
    if partitions[0] != partitions[1] {
        return Err(format!("of another partition: {partitions:?}"));
    }
    tally.partitioned += u64::from(partitions[0].is_some());
    tally.named += u64::from(call.names_its_key());
    tally.of_others += u64::from(call.credentials != other.credentials);

    let way = way(world, call);
    let mut why = Err("the way does not lead to what was made".into());
    for hop in &way {
        why = hop.may_see(world, call, made);
        if why.is_ok() {
            tally.followed += u64::from(hop.number > 0);
            return Ok(());
        }
    }
    why
}

impl Hop {
    fn may_see(&self, world: &World, call: &Call, made: &Made) -> Result<(), String> {
        if !self.is_keyed_alike(world, call, made) {
            return Err("made for another target".into());
        }
        let own = Credentials { userinfo: userinfo(&self.uri), ..call.credentials.clone() };
        let separate = !world.shared && world.keys != Keys::SharingCredentials;
        let alike =
            |own: &Option<String>, sent: &Option<String>| own == sent || self.crossed && sent.is_none();
        if separate {
            let pairs = [
                (&own.authorization, &made.sent.authorization),
                (&own.proxy_authorization, &made.sent.proxy_authorization),
                (&own.userinfo, &made.sent.userinfo),
            ];
            if let Some(pair) = pairs.into_iter().find(|(own, sent)| !alike(own, sent)) {
                return Err(format!("of other credentials: {pair:?}"));
            }
        }
        if made.page.varies_on_cookie && !alike(&own.cookie, &made.sent.cookie) {
            return Err("of another cookie, though it varies".into());
        }
        Ok(())
    }

    fn is_keyed_alike(&self, world: &World, call: &Call, made: &Made) -> bool {
        // Whoever names a key says that its responses are for all who name it.
        if call.names_its_key() && self.number == 0 {
            return true;
        }
        let normal =
            |uri: &Uri| DefaultKey::new().normalize_target(true).rewrite(uri).unwrap_or_else(|| uri.clone());
        let (asked, answered) = match world.keys {
            Keys::ByPath => return self.uri.path() == made.uri.path(),
            Keys::Normalizing => (normal(&self.uri), normal(&made.uri)),
            _ => (self.uri.clone(), made.uri.clone()),
        };
        // The one query that a page may call meaningless.
        let without = |uri: &Uri| target_uri(uri).unwrap().split('?').next().unwrap().to_owned();
        let no_query = |uri: &Uri| uri.query().is_none_or(|query| query.starts_with('q'));
        target_uri(&asked) == target_uri(&answered)
            || made.page.no_vary_search
                && without(&asked) == without(&answered)
                && no_query(&asked)
                && no_query(&answered)
    }
}

/// All URIs that a call can get its answer from.
fn way(world: &World, call: &Call) -> Vec<Hop> {
    let first = || Hop { uri: call.uri.clone(), number: 0, crossed: false };
    if !world.follows {
        return vec![first()];
    }
    // Under a key that is named stands any page, with the way on from it.
    let pages = if call.names_its_key() {
        &world.pages[..]
    } else {
        std::slice::from_ref(page_of(&world.pages, &call.uri))
    };
    let mut ways = Vec::new();
    for page in pages {
        let mut last = first();
        let mut location = page.location;
        while let Some(leads_to) = location.filter(|_| last.number < 10) {
            let uri = resolve(&last.uri, leads_to).unwrap();
            let crossed = last.crossed || !same_origin(&last.uri, &uri);
            location = page_of(&world.pages, &uri).location;
            let next = Hop { uri, number: last.number + 1, crossed };
            ways.push(std::mem::replace(&mut last, next));
        }
        ways.push(last);
    }
    ways
}
