use proptest::prelude::*;

use super::measure::{main_text, page};
use super::*;
use crate::testing::json_lines;

/// A page with this in its body, and enough text to count as one.
fn page_of(body: &str) -> String {
    let furniture = "<li><a href=/x>频道</a></li>".repeat(60);
    format!("<html><head><title>标题</title></head><body><ul class=nav>{furniture}</ul>{body}</body></html>")
}

fn story() -> String {
    "<p>央行周四宣布下调存款准备金率，市场普遍预期，此举将释放长期资金，支持实体经济发展。</p>".repeat(12)
}

fn stripped(text: &str) -> String {
    let mut out = String::new();
    if strip_html(text, &mut out) { out } else { text.to_owned() }
}

#[test]
fn the_story_is_kept_and_the_furniture_left_out() {
    let text =
        main_text(&page_of(&format!("<div id=content>{}</div><div class=footer>版权所有</div>", story())));
    assert_eq!(text.lines().count(), 12);
    assert!(!text.contains("频道") && !text.contains("版权所有"), "{text}");
}

#[test]
fn captions_and_links_are_left_out() {
    let extras = "<figure><img src=a.jpg><figcaption>图片说明</figcaption></figure><p><a href=/y>另一篇报道的标题</a></p>\
                  <p>本段有<a href=/z>链接</a>，仍是正文。</p>";
    let text = main_text(&page_of(&format!("<div id=content>{}{extras}{}</div>", story(), story())));
    assert!(!text.contains("图片说明") && !text.contains("另一篇"), "{text}");
    assert!(text.contains("本段有链接，仍是正文。"), "{text}");
}

#[test]
fn text_that_scripts_make_visible_is_found() {
    let body = format!("<p>公众号</p><div id=content style='visibility: hidden'>{}</div>", story().repeat(2));
    assert!(main_text(&page_of(&body)).starts_with("央行周四"));
}

#[test]
fn a_far_longer_text_in_the_linked_data_replaces_the_choice() {
    let body = "本报讯，".repeat(200);
    let data = format!(
        "<script type='application/ld+json'>{{\"@graph\":[{{\"articleBody\":\"{body}\"}}]}}</script>"
    );
    assert_eq!(main_text(&page_of(&format!("<p>请开启脚本，阅读全文，谢谢您的支持。</p>{data}"))), body);
    let shorter = format!("<div id=content>{}</div>{data}", story().repeat(2));
    assert!(main_text(&page_of(&shorter)).starts_with("央行周四"));
    let broken = data.replace("}]}", "");
    assert!(!main_text(&page_of(&format!("<p>请开启脚本。</p>{broken}"))).contains("本报讯"));
}

#[test]
fn other_texts_are_read_as_strip_html_reads_them() {
    let fragments = ["", "纯文本", "<p>甲</p><p>乙</p>", "a < b", "<html><body><p>短</p></body></html>"];
    let long = ["<p>没有页面元素</p>".repeat(500), "a < b <body".repeat(500), page_of("")];
    for text in fragments.map(str::to_owned).iter().chain(&long[..2]) {
        assert_eq!(main_text(text), stripped(text));
    }
    // A page without a story: nothing is lost.
    assert!(main_text(&long[2]).contains("频道"));
}

/// Each of these kept a builder of trees, or a library that calls itself, busy for minutes, or ended the process.
#[test]
fn deep_wide_and_broken_pages_end() {
    let units = [
        "<div>",
        "<div>x",
        "<b>",
        "<p><b>",
        "<b id=1><p>x",
        "<font size=1>",
        "<table><tr><td>",
        "<a href=x>",
        "<li><ul>",
        "<!--",
        "<![CDATA[",
        "<",
        "<svg>",
        "<template>",
        "<select><option>",
        "<script>",
        "</p>",
        "</div>",
        "<br>",
        "<br>x",
        "<p>x</p>",
        "<div>x</i>",
        "<div></i></div></b>",
        "<div><object></div></object>",
        "<form><table>",
        "<x-y>",
        "<math><mi>",
    ];
    for unit in units {
        let text = format!("<html><body>{}", unit.repeat(30_000));
        main_text(&text);
    }
    main_text(&format!(
        "<html><body>{}text{}</body></html>",
        "<div>".repeat(100_000),
        "</div>".repeat(100_000)
    ));
}

/// Tests run on threads with a stack of 2 MiB, as pipelines do.
#[test]
fn deep_pages_fit_on_the_stack_and_keep_their_story() {
    for depth in [200, 250, 255, 300] {
        let body = format!("{}{}{}", "<div>".repeat(depth), story(), "</div>".repeat(depth));
        assert!(main_text(&page_of(&body)).contains("央行周四"));
    }
}

/// A version of the library panics at an address of a player with a character of several bytes before it.
#[test]
fn addresses_of_players_are_no_trouble() {
    let body = format!("<div id=content>{}<iframe src='中youtube.com/x'></iframe></div>", story());
    assert!(article::find(&page_of(&body), Styles::Obeyed).is_some());
}

/// Below the bounds of the tags, a tree of the largest depth.
#[test]
fn the_deepest_tree_fits_on_the_stack() {
    for depth in [480, 600] {
        let body = format!("{}{}{}", "<div>".repeat(depth), story(), "</div>".repeat(depth));
        let article = article::find(&page_of(&body), Styles::Obeyed);
        assert_eq!(article.is_some(), depth < 512);
    }
}

#[test]
fn pages_beyond_the_bounds_are_read_without_a_tree() {
    let long = "正文，".repeat(150_000);
    let parts = [
        "<p>甲<br>",
        "<ul>",
        "<li><p>甲",
        "</ul><table>",
        "<tr><td>甲<td>乙",
        "</table><dl>",
        "<dt>甲<dd><p>乙",
    ];
    let unclosed =
        parts.map(|part| if part.contains('甲') { part.repeat(1_000) } else { part.to_owned() }).concat();
    let pages = [
        "<div>".repeat(300),
        format!("{}{long}", "<div>".repeat(200)),
        "<div>x</i>".repeat(3_000),
        "<p>正文</p>".repeat(400_000),
    ];
    for page in pages.map(|body| page_of(&body)) {
        assert!(!bounds::is_within_bounds(&page));
        assert_eq!(main_text(&page), stripped(&page));
    }
    for page in [page_of(&long), page_of(&story().repeat(100)), page_of(&unclosed)] {
        assert!(bounds::is_within_bounds(&page));
    }
}

#[test]
fn every_real_page_is_within_the_bounds() {
    for file in ["raw_html_zh.jsonl", "raw_html_en.jsonl"] {
        let Some(rows) = json_lines(file) else { return };
        for row in &rows {
            let html = page(row);
            assert!(bounds::is_within_bounds(&html), "{}", row["id"]);
            assert!(!is_page(&html) || article::find(&html, Styles::Obeyed).is_some(), "{}", row["id"]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn total_and_deterministic_on_any_page(
        parts in prop::collection::vec(
            "<(/?)(div|p|b|a|table|tr|td|br|h1|article|script|style|iframe|ul|li|svg|form|img)( class=\"(content|share|hid)\")?>|\\PC{0,20}|，",
            0..400,
        ),
    ) {
        let page = page_of(&parts.concat());
        prop_assert_eq!(main_text(&page), main_text(&page));
    }
}
