use proptest::prelude::*;

use super::*;
use crate::testing::{json_lines, text_of};

fn stripped(text: &str) -> String {
    let mut out = String::new();
    if strip_html(text, &mut out) { out } else { text.to_owned() }
}

fn assert_stripped(cases: &[(&str, &str)]) {
    for (input, expected) in cases {
        assert_eq!(stripped(input), *expected, "{input:?}");
    }
}

fn assert_unchanged(texts: &[&str]) {
    for text in texts {
        assert!(!strip_html(text, &mut String::new()), "{text:?} became {:?}", stripped(text));
    }
}

#[test]
fn known_markup_becomes_its_text() {
    let cases = [
        ("<p>第一段</p><p>第二段</p>", "第一段\n第二段"),
        ("a<br>b<br/>\n\n<br />c", "a\nb\nc"),
        ("<b>粗</b>体 <a href='x?a=1&amp;b=2' title=\"a>b\">链接</a>", "粗体 链接"),
        (
            "<html><head><title>标题</title><style>p{}</style></head><body>正文<script>if(a<b){}</script></body>",
            "正文",
        ),
        ("<head><title>t</title><body>未关闭的 head", "未关闭的 head"),
        ("a<noscript><img src=x>n</noscript><template><p>t</p></template>b", "ab"),
        ("x<!-- 注释 <p> -->y", "xy"),
        ("<div>a</p></i>b</div>c", "ab\nc"),
        ("<ul><li>一<li>二</ul>", "一\n二"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3"),
        ("<p>行一\n  仍是行一</p>", "行一 仍是行一"),
        ("<b>行一</b>\n行二", "行一\n行二"),
        ("<o:p></o:p>文", "文"),
        ("&lt;b&gt;bold&lt;/b&gt; &amp;lt;", "bold <"),
        ("<p>the &lt;img&gt; tag</p>", "the <img> tag"),
        ("sale..&lt;br&gt;&lt;FONT face=\"verdana\"&gt;&lt;B&gt;-The Post&lt;/B&gt;", "sale..\n-The Post"),
        ("AT&amp;T &amp;nbsp;x", "AT&T &nbsp;x"),
        ("变异率&lt;20%；", "变异率<20%；"),
        ("Oracle #39;s", "Oracle's"),
        ("<p>1 < 2 & 3</p>", "1 < 2 & 3"),
        ("<div><select><option>北京<option>上海</select>新闻</div>", "新闻"),
        ("<p>A</p><iframe src=\"x\"/><p>body</p>", "A\nbody"),
        ("<p>A</p><iframe src=\"x\"/><p>body</p><iframe>old</iframe>", "A\nbody"),
        ("<script src='a.js' /><p>正文</p><script>x()</script>", "正文"),
        ("<title> 标签详解", " 标签详解"),
        ("<TITLE>t</TITLE><p>A</p><select><option>x<p>B</p><template>C", "A\nx\nB\nC"),
        ("<p>A</p><textarea>B</textarea", "A\nB</textarea"),
    ];
    assert_stripped(&cases);
}

#[test]
fn plain_text_survives_unchanged() {
    let texts = [
        "a < b & c",
        "5<x<10",
        "I <3 you",
        "<神探> 上映",
        "<Titanic> 重映",
        "R&D #1",
        "a<b",
        "<p",
        "<!-- 没有结束",
        "第一行\n  第二行\n\n\n第三行 <-",
        "",
    ];
    assert_unchanged(&texts);
}

#[test]
fn cdata_sections_are_unwrapped() {
    assert_stripped(&[
        ("<![CDATA[<p>第一段</p><p>第二段</p>]]>", "第一段\n第二段"),
        ("Breaking: <![CDATA[Big news]]> today", "Breaking: Big news today"),
        ("<![CDATA[A]]>B<![CDATA[C]]>", "ABC"),
        (
            "<description><![CDATA[涨 5%，a < b\n第二行]]></description>",
            "<description>涨 5%，a < b\n第二行</description>",
        ),
        ("<![CDATA[文章被截断，<b>仍在", "文章被截断，<b>仍在"),
        ("<![CDATA[一 ]]]]><![CDATA[> 二]]>", "一 ]]> 二"),
        ("&lt;![CDATA[&lt;p&gt;甲&lt;/p&gt;]]&gt;", "甲"),
        ("<script>//<![CDATA[\nif (a<b) {}\n//]]></script><p>乙</p>", "乙"),
        ("<![CDATA[AT&amp;T]]>", "AT&T"),
    ]);
    assert_unchanged(&["x = a[b[1]]>2 < 3", "<![CDATA 不是", "]]> <"]);
}

#[test]
fn declarations_instructions_and_conditional_comments_are_dropped() {
    assert_stripped(&[
        ("<p>甲</p><![if !mso]><p>乙</p><![endif]><!--[if IE]><p>丙</p><![endif]-->", "甲\n乙"),
        ("<!--[if !IE]><!--><p>甲</p><!--<![endif]-->", "甲"),
        ("<?php echo 1 ?><p>text</p><%= x %>", "text"),
        ("<p>a</p><?php if ($a > 1) { echo '<p>b</p>'; } ?><p>c</p>", "a\nc"),
        ("<p>a<?= $x->y ?>b</p>", "ab"),
        ("<p>a</p><?php // no end", "a\n<?php // no end"),
        ("<?xml version=\"1.0\"?>一\n二", "一\n二"),
        ("<?xml version=\"1.0\"><p>甲</p><p>乙 ?> 丙</p>", "甲\n乙 ?> 丙"),
        ("<!DOCTYPE html><p>甲", "甲"),
        ("<!-- <p>甲</p> <% --><p>乙 %></p>", "乙 %>"),
        ("<p>5 <% 10 <? 3</p>", "5 <% 10 3</p>".replace(" 3</p>", "").as_str()),
        ("<a href=\"<%= url %>\">链接</a>", "链接"),
    ]);
    assert_unchanged(&["a <% b %> c", "<?php echo 1 ?>", "<!important>", "5 <? 6 >"]);
}

#[test]
fn markup_of_news_wires_is_removed() {
    assert_stripped(&[
        (
            "<nitf><head><title>Slug</title><docdata><doc-id id-string=\"a1\"/></docdata></head><body><body.head><hedline>\
             <hl1>Rates fall</hl1></hedline><dateline><location>Springfield</location></dateline></body.head><body.content>\
             <block><p>First.</p><p>Second.</p></block></body.content><body.end/></body></nitf>",
            "Rates fall\nSpringfield\nFirst.\nSecond.",
        ),
        (
            "<nitf><head><tobject tobject.type=\"news\"/></head><body><body.content><p>By <person>A. Smith</person> of \
             <org>ACME</org>, <chron norm=\"20240501\">May 1</chron>: <money>$5</money></p></body.content></body></nitf>",
            "By A. Smith of ACME, May 1: $5",
        ),
        (
            "<hedline><hl1>甲</hl1><hl2>乙</hl2></hedline><byline>丙</byline><tagline>丁</tagline>",
            "甲\n乙\n丙\n丁",
        ),
        ("<block><media><media-caption>图</media-caption></media><p>文</p></block>", "图\n文"),
        (
            "<?xml version=\"1.0\"?><inlineXML contenttype=\"text/xml\"><html xmlns=\"http://www.w3.org/1999/xhtml\">\
             <body><p>Body.</p></body></html></inlineXML>",
            "Body.",
        ),
        (
            "<newsItem guid=\"urn:x\"><itemMeta><provider literal=\"x\"/>2024</itemMeta><contentSet><inlineXML>\
             <p>甲</p></inlineXML></contentSet></newsItem>",
            "甲",
        ),
        ("<NewsML><NewsItem><NewsLines><HeadLine>甲</HeadLine></NewsLines></NewsItem></NewsML>", "甲"),
    ]);
}

#[test]
fn rarer_elements_are_known() {
    assert_stripped(&[
        ("<hgroup><h1>A</h1><h2>B</h2></hgroup><search>C</search><menu><li>D</menu>", "A\nB\nC\nD"),
        (
            "<p>one</p><applet>two</applet><noembed>x</noembed><blink>three</blink><xmp>four</xmp>",
            "one\ntwothree\nfour",
        ),
        ("<p>甲</p><noframes>x</noframes><datalist><option>y</datalist>乙", "甲\n乙"),
        ("<math><mi>x</mi><mo>=</mo><mn>1</mn></math> holds", "x=1 holds"),
        ("<P ALIGN=CENTER>甲<P>乙<BR>丙", "甲\n乙\n丙"),
        ("<details><summary>概要</summary>详情</details>", "概要\n详情"),
        ("<p>图<img src=a.png alt=\"说明\">文</p>", "图文"),
        ("<p>a<unknown x=1>b</unknown>c<my-tag/>d</p>", "abcd"),
        ("<p>a<v:shape id=x>b</v:shape></p>", "ab"),
        ("<p>甲</p><svg><text>乙</text></svg>", "甲"),
    ]);
}

#[test]
fn ruby_is_written_in_brackets() {
    assert_stripped(&[
        ("<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>字", "漢(かん)字"),
        ("<ruby>漢<rp>（</rp><rt>かん</rt><rp>）</rp></ruby>字", "漢(かん)字"),
        ("<ruby>漢<rt>かん</rt></ruby>字", "漢(かん)字"),
        ("<ruby>漢<rt>かん</ruby>字", "漢(かん)字"),
        ("<ruby>漢<rt>hàn<rp>)</ruby>字", "漢(hàn)字"),
        ("<ruby>漢<rt>かん<rb>字<rt>じ</ruby>", "漢(かん)字(じ)"),
        ("<p><ruby>漢<rt>かん</p><p>次の段落</p>", "漢(かん)\n次の段落"),
    ]);
}

#[test]
fn tables_lists_and_preformatted_text_keep_their_lines() {
    assert_stripped(&[
        (
            "<table><caption>表</caption><tr><th>年</th><th>值</th></tr><tr><td>2023<td>1.5%</table>",
            "表\n年 值\n2023 1.5%",
        ),
        ("<ul><li>一<ul><li>二</ul><li>三</ul>", "一\n二\n三"),
        ("<ol>\n <li>一</li>\n <li>二</li>\n</ol>", "一\n二"),
        ("<pre>一\n  二\n三</pre>四\n五", "一\n二\n三\n四 五"),
        ("<pre>一\r\n二</pre>", "一\n二"),
        ("<p>甲</p><textarea>一\n<b>二</b></textarea>", "甲\n一\n<b>二</b>"),
        ("<p>甲</p><xmp>一 <b>&amp;\n二</xmp>乙", "甲\n一 <b>&amp;\n二\n乙"),
        ("<p>甲</p><plaintext>一<br>二</plaintext>", "甲\n一<br>二"),
        ("<p>甲</p><plaintext>一<br>二", "甲\n一\n二"),
        ("<dl><dt>甲<dd>乙<dt>丙</dl>", "甲\n乙\n丙"),
    ]);
}

#[test]
fn addresses_symbols_and_types_are_text() {
    assert_unchanged(&[
        "Read more: <https://news.example/a?b=1> today",
        "Write to <mailto:desk@news.example> or <desk@news.example>",
        "See <https://news.example/x|the story> in the chat",
        "Line one\nLine two <http://news.example/b>\nLine three",
        "Shares of Sears <S> and Du Pont <DD> rose\nin New York",
        "Apple <AAPL.O> and <0700.HK>",
        "if a<b and c>d, or x<-y",
        "ID <urn:newsml:news.example:20240501:1>",
        "std::vector<int> and Map<String, List<T>>",
        "<a>, <b> and <i> stand for numbers",
        "<b and c>",
        "<center> <form> <main> <time>",
        "<my-tag> <o:x> <foo/> <x y=1>",
        "<p 未闭合",
        "<p, q> <p=1>",
        "</没有> </3 </unknown>",
        "<u>",
        "<<<>>>",
    ]);
    assert_stripped(&[
        ("&lt;https://news.example/c&gt; was escaped", "<https://news.example/c> was escaped"),
        ("<a href=https://news.example/d>link</a>", "link"),
        ("<a href=https://news.example/d>cut off", "cut off"),
        (
            "<p>见 <https://news.example/a?b=1> 与 <AAPL.O>、vector<int></p>",
            "见 <https://news.example/a?b=1> 与 <AAPL.O>、vector<int>",
        ),
        ("<p>来信 <desk@news.example></p>", "来信 <desk@news.example>"),
        ("<b>Sears</b>", "Sears"),
        ("x</b>", "x"),
        ("<p title='a > b' class=x>甲", "甲"),
        ("<br/>", ""),
    ]);
}

#[test]
fn references_next_to_markup_are_decoded_once() {
    assert_stripped(&[
        ("<p>&quot你好&quot R&ampD &#146;</p>", "\"你好\" R&D ’"),
        ("<p>&amp;lt;b&amp;gt;</p>", "&lt;b&gt;"),
        ("<p>&#55357;&#56832;</p>", "😀"),
    ]);
}

#[test]
fn many_open_brackets_and_deep_nesting_terminate() {
    let units = [
        "<",
        "<!--",
        "<div>",
        "<div ",
        "&lt;",
        "<template>",
        "<title ",
        "</title>",
        "</p>",
        "<![CDATA[",
        "]]>",
        "<?",
        "<?php ",
        "<%",
        "<% %>",
        "<p a=\"",
        "<p a='",
        "<xmp>",
        "<xmp ",
        "<xmp></xmp>",
        "<ruby><rt>",
        "<pre>",
        "<a b=c ",
        "</x",
        "<x:y z=",
        "<script>",
        "&#55357;",
        "&amp",
        "&#",
        "<!",
        "<plaintext>",
        "<textarea>",
        "</div",
    ];
    for unit in units {
        for end in [">", "", "<p>x</p>", "-->", "]]>", "?>", "</xmp>", "</script>"] {
            stripped(&(unit.repeat(10_000) + end));
        }
        stripped(&("<p>".to_owned() + &unit.repeat(10_000)));
    }
    stripped(&"<".repeat(1 << 20));
    stripped(&"<div>".repeat(100_000));
}

#[test]
fn an_unclosed_element_hides_nothing() {
    for name in [
        "noembed", "noframes", "datalist", "docdata", "tobject", "itemMeta", "xmp", "textarea", "rp", "rt",
        "head",
    ] {
        let text = format!("<p>甲</p><{name}>乙<p>丙</p>");
        assert!(
            stripped(&text).contains('丙') && stripped(&text).contains('乙'),
            "{name}: {}",
            stripped(&text)
        );
        let text = format!("<p>甲</p><{name}/>乙<p>丙</p>");
        assert!(
            stripped(&text).contains('丙') && stripped(&text).contains('乙'),
            "{name}: {}",
            stripped(&text)
        );
    }
}

/// Gold texts differ from their pages in spaces, quotes and list marks.
fn letters(text: &str) -> String {
    text.chars().filter(|character| character.is_alphanumeric()).collect()
}

/// The main text that people marked on real pages must be kept.
#[test]
fn the_gold_text_of_real_pages_is_kept() {
    for (file, floor) in [("raw_html_zh.jsonl", 998), ("raw_html_en.jsonl", 994)] {
        let Some(rows) = json_lines(file) else { return };
        let (mut kept, mut all) = (0, 0);
        for row in rows.iter().filter(|row| row["html"].is_string() && row["body"].is_string()) {
            let page = letters(&stripped(text_of(row, "html")));
            for line in text_of(row, "body").lines().map(letters).filter(|line| !line.is_empty()) {
                all += 1;
                kept += usize::from(page.contains(&line));
            }
        }
        println!("{file}: {kept} of {all} gold lines kept");
        assert!(kept * 1000 >= all * floor, "{file}: {kept} of {all}");
    }
}

/// None of these texts has markup.
#[test]
fn plain_texts_are_not_taken_for_html_and_pages_are() {
    let plain = [
        ("headlines_zh_thucnews.jsonl", "text"),
        ("headlines_zh_toutiao.jsonl", "text"),
        ("articles_zh_sogouc.jsonl", "text"),
        ("articles_zh_cnews.jsonl", "text"),
        ("articles_en_bbc.jsonl", "body"),
        ("sentences_zh_en_sib200.jsonl", "text"),
        ("sentences_foreign_sib200.jsonl", "text"),
    ];
    let mut texts = 0;
    for (file, field) in plain {
        let Some(rows) = json_lines(file) else { return };
        let taken: Vec<_> = rows
            .iter()
            .map(|row| text_of(row, field))
            .filter(|text| Brackets::of_html(text).is_some())
            .collect();
        texts += rows.len();
        assert!(taken.is_empty(), "{file}: {taken:?}");
    }
    println!("none of {texts} plain texts is taken for HTML");
    for file in ["raw_html_zh.jsonl", "raw_html_en.jsonl"] {
        let Some(rows) = json_lines(file) else { return };
        for row in rows.iter().filter(|row| row["html"].is_string()) {
            assert!(Brackets::of_html(text_of(row, "html")).is_some(), "{}", row["id"]);
        }
    }
}

#[test]
fn broken_references_of_real_briefs_are_repaired() {
    let Some(rows) = json_lines("briefs_en_agnews.jsonl") else { return };
    for row in &rows {
        let text = stripped(text_of(row, "body"));
        for broken in ["&lt;", " #39;", " #36;", "</", "<a "] {
            assert!(!text.to_lowercase().contains(broken), "{broken} is in {text}");
        }
    }
}

proptest! {
    #[test]
    fn total_on_any_text(text in "(<|>|/|p|b |br|script|!--|--|&lt;|&|#39;| |中|<!\\[CDATA\\[|\\]\\]>|<\\?|\\?>|<%|%>|<xmp>|</xmp>|<rt>|<rp>|<pre>|\"|=|\\PC){0,60}") {
        stripped(&text);
    }

    #[test]
    fn text_without_brackets_and_references_is_untouched(text in "[^<&#]{0,60}") {
        prop_assert!(!strip_html(&text, &mut String::new()));
    }
}
