//! `docs/order-of-layers.md` shows the code of the example.

#[test]
fn the_page_shows_the_stack_as_it_is() {
    let page = include_str!("../../../../docs/order-of-layers.md");
    let example = include_str!("../../examples/stack.rs");
    let (_, code) = page.split_once("```rust\n").expect("code");
    let (code, _) = code.split_once("```").expect("the end of the code");
    assert!(example.contains(code), "not in examples/stack.rs:\n{code}");
}
