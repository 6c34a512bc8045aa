use super::*;
use crate::http::story::Scored;

const ROOMY: Bounds = Bounds { documents: 100, bytes: 1 << 20 };

fn story(offset: i64, abstained: bool) -> Story {
    Story {
        key: format!("news/0/{offset}"),
        topic: "news".into(),
        partition: 0,
        offset,
        seq: 0,
        id: None,
        source: Some("xinhua".into()),
        url: None,
        language: Some("zh".into()),
        title: Some("央行宣布降息".into()),
        excerpt: "Rates Fall".into(),
        body: None,
        published_at: None,
        received_at: chrono::Utc::now(),
        label: "economy".into(),
        score: 0.8,
        margin: 0.6,
        labels: vec![Scored { label: "economy".into(), score: 0.8 }],
        abstained,
        model_version: "v".into(),
        shingles: vec![],
    }
}

fn offsets(part: &Part) -> Vec<i64> {
    part.stories.iter().map(|story| story.offset).collect()
}

#[test]
fn the_oldest_stories_leave_and_doubtful_ones_have_room_of_their_own() {
    let mut store = Store::default();
    let (recent, doubtful) = (Bounds { documents: 2, ..ROOMY }, Bounds { documents: 1, ..ROOMY });
    let stories = (0..6).map(|offset| story(offset, offset < 2)).collect();
    assert_eq!(store.add(stories, vec![], [recent, doubtful]), 6);
    assert_eq!((offsets(&store.recent), offsets(&store.doubtful)), (vec![4, 5], vec![1]));
    let mut keys: Vec<&str> = store.by_key.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["news/0/1", "news/0/4", "news/0/5"]);
}

#[test]
fn bytes_are_bounded_too() {
    let mut store = Store::default();
    let one = story(0, false).bytes();
    let bounds = Bounds { bytes: 2 * one + one / 2, ..ROOMY };
    store.add((0..5).map(|offset| story(offset, false)).collect(), vec![], [bounds, ROOMY]);
    assert_eq!(offsets(&store.recent), [3, 4]);
    assert!(store.recent.bytes <= bounds.bytes);
}

#[test]
fn a_document_that_is_read_again_is_found_under_its_newer_number() {
    let mut store = Store::default();
    let bounds = [Bounds { documents: 1, ..ROOMY }, ROOMY];
    store.add(vec![story(7, false)], vec![], bounds);
    store.add(vec![story(7, false)], vec![], bounds);
    assert_eq!(store.by_key["news/0/7"].seq, 2);
}

#[test]
fn filters_apply_together_and_corrected_labels_count() {
    let story = story(1, false);
    let wants = |filter: &str, corrected: &[(&str, &str)]| {
        let filter: Filter = serde_json::from_str(filter).unwrap();
        let corrected = corrected.iter().map(|(key, label)| ((*key).into(), (*label).into())).collect();
        filter.wants(&story, &corrected)
    };
    assert!(wants("{}", &[]));
    assert!(wants(
        r#"{"label":"economy","source":"xinhua","language":"zh","q":"rates f","max_score":0.8}"#,
        &[]
    ));
    assert!(!wants(r#"{"label":"economy","source":"bbc"}"#, &[]));
    assert!(!wants(r#"{"max_score":0.7}"#, &[]) && !wants(r#"{"abstained":true}"#, &[]));
    assert!(wants(r#"{"q":"降息"}"#, &[]) && !wants(r#"{"q":"加息"}"#, &[]));
    assert!(!wants(r#"{"label":"economy"}"#, &[("news/0/1", "sports")]));
    assert!(wants(r#"{"label":"sports"}"#, &[("news/0/1", "sports")]));
}

#[test]
fn a_burst_is_taken_and_a_fast_stream_is_sampled() {
    let mut rate = Rate::new(2);
    let taken = (0..100).filter(|_| rate.allows()).count();
    assert_eq!(taken, 20, "what ten seconds allow");
    rate.since = Instant::now().checked_sub(std::time::Duration::from_secs(2)).unwrap();
    let taken = (0..100).filter(|_| rate.allows()).count();
    assert_eq!(taken, 4, "what two seconds allow");
}

#[test]
fn near_duplicates_are_found_until_they_leave() {
    let mut store = Store::default();
    let titled = |offset, title: &str| Story { shingles: shingles::of(title), ..story(offset, false) };
    let stories = vec![
        titled(1, "Central bank raises interest rates by half a point to fight inflation"),
        titled(2, "Central bank raises interest rates by half a point to fight inflation!"),
        titled(3, "Wet weather delays the harvest in the north of the country"),
    ];
    store.add(stories, vec![], [Bounds { documents: 3, ..ROOMY }, ROOMY]);
    let (told, newest) = watch::channel(0);
    let (sender, _offers) = sync_channel(1);
    let feed = Feed { sender, store: Arc::new(RwLock::new(store)), metrics: Arc::default(), newest };
    drop(told);
    let near = |feed: &Feed, offset: i64| {
        let story = feed.get(&format!("news/0/{offset}")).unwrap();
        feed.near(&story).iter().map(|(_, other)| other.offset).collect::<Vec<_>>()
    };
    assert_eq!((near(&feed, 1), near(&feed, 3)), (vec![2], vec![]));
    feed.store.write().add(
        vec![titled(4, "Another story")],
        vec![],
        [Bounds { documents: 3, ..ROOMY }, ROOMY],
    );
    assert!(near(&feed, 2).is_empty(), "story 1 has left");
}
