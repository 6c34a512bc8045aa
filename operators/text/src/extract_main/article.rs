//! The main part of a page, as `dom_smoothie` finds it, and the length of what it is compared with.

use dom_smoothie::{Config, Readability};

/// The most elements of a page.
const MAX_ELEMENTS: usize = 100_000;

/// The deepest tree. Parts of the library call themselves for each level, and a thread's stack is finite. The tree can
/// be a little deeper than the tags that [`bounds`](super::bounds) counts, since the builder adds elements.
const MAX_DEPTH: usize = 512;

/// Elements that are no running text, or frames and players. Captions repeat the story beside its pictures: gold texts
/// leave them out. The library looks at the addresses of players, and panics at some that are not ASCII.
const LEFT_OUT: &str = "figcaption,iframe,object,embed";

/// Blocks that are headings of other stories, or invitations, if all of their text is a link.
const LINKED: &str = "p,h2,h3,h4,h5,h6";

/// Whether styles that hide an element count.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Styles {
    Obeyed,
    Ignored,
}

/// The main part of a page.
pub(super) struct Article {
    pub(super) html: String,
    /// The characters of its text, spaces aside.
    pub(super) length: usize,
    /// The characters of the longest `<article>` of the page, spaces aside.
    pub(super) longest_element: usize,
}

/// Looks for the main part of `html`; `None` if there is none, or if the tree is too large or too deep.
pub(super) fn find(html: &str, styles: Styles) -> Option<Article> {
    let config = Config { max_elements_to_parse: MAX_ELEMENTS, disable_json_ld: true, ..Config::default() };
    let mut page = Readability::new(html, None, Some(config)).ok()?;
    if !is_shallow(&page) {
        return None;
    }
    page.doc.select(LEFT_OUT).remove();
    if styles == Styles::Ignored {
        page.doc.select("[style]").remove_attr("style");
    }
    let articles = page.doc.select("article");
    let longest_element = articles.iter().map(|article| letters(&article.text())).max().unwrap_or(0);
    page.parse().ok()?;
    remove_links(&page);
    let main = page.doc.select("#readability-page-1");
    Some(Article { html: main.html().to_string(), length: letters(&main.text()), longest_element })
}

/// Removes the paragraphs and headings of the main part that are links as a whole.
fn remove_links(page: &Readability) {
    for block in page.doc.select("#readability-page-1").select(LINKED).iter() {
        let linked: usize = block.select("a").iter().map(|link| letters(&link.text())).sum();
        // Nine tenths: a bullet or "Related:" stands before some.
        if linked > 0 && linked * 10 >= letters(&block.text()) * 9 {
            block.remove();
        }
    }
}

fn letters(text: &str) -> usize {
    text.chars().filter(|character| !character.is_whitespace()).count()
}

/// Whether no element of the page has more than [`MAX_DEPTH`] around it. The walk keeps no stack.
fn is_shallow(page: &Readability) -> bool {
    let mut node = page.doc.root();
    let mut depth = 0;
    loop {
        if let Some(child) = node.first_child() {
            depth += 1;
            if depth > MAX_DEPTH {
                return false;
            }
            node = child;
            continue;
        }
        node = loop {
            if let Some(next) = node.next_sibling() {
                break next;
            }
            let Some(parent) = node.parent() else {
                return true;
            };
            depth -= 1;
            node = parent;
        };
    }
}
