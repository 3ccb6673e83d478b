//! Limits of time and stack.

use super::*;

/// The size of a document does not decide how long an evaluation takes.
#[test]
fn long_lists_are_given_up() {
    let mut scope = Scope::new();
    let set = |scope: &mut Scope<'_>, length: usize| {
        let list: Vec<serde_json::Value> = (0..length).map(Into::into).collect();
        let content = Content::Json(serde_json::json!({ "list": list }));
        scope.set("app", &reading(content, ""));
    };
    let truth = |text: &str, scope: &Scope<'_>| compile(text).unwrap().truth(scope);
    let nested = "app.json.list.all(a, app.json.list.exists(b, a <= b))";
    let flat = "app.json.list.map(a, a + 1).size() > 3";
    set(&mut scope, 100);
    assert_eq!(truth(nested, &scope), Ok(true));
    set(&mut scope, 2_000);
    let given_up = Err(Unknown("loop: too many elements".to_owned()));
    assert_eq!(truth(nested, &scope), given_up);
    assert_eq!(truth(flat, &scope), Ok(true));
    // The arguments of functions and operators inside of a loop count, too.
    for text in [
        "app.json.list.exists(x, x < 0.0 && x in app.json.list)",
        "app.json.list.exists(x, x in app.json.list && x < 0.0)",
        "app.json.list.all(x, max(app.json.list) > 1.0)",
        "app.json.list.exists(x, app.json.list == [x])",
        "app.json.list.map(x, app.json.list + [x]).size() > 1",
        "app.json.list.exists(x, page.text.matches('nowhere'))",
    ] {
        let text_of = |length: usize| reading(Content::Text, &"x".repeat(length));
        scope.set("page", &text_of(1_000_000));
        // `false && unknown` is false.
        let cheap = text.contains("x < 0.0");
        let seen = truth(text, &scope);
        assert_eq!(seen.is_err(), !cheap, "{text}: {seen:?}");
    }
    // Copies count, too.
    set(&mut scope, 50_000);
    for text in [
        "app.json.list.map(x, app.json.list).size() > 1",
        "app.json.list.map(x, {'x': x < 0.0 ? [] : app.json.list}).size() > 1",
    ] {
        assert_eq!(truth(text, &scope), given_up, "{text}");
    }
    // A map finds its keys without going over them.
    let keys: serde_json::Map<_, _> = (0..50_000)
        .map(|key| (key.to_string(), key.into()))
        .collect();
    let found = Content::Json(serde_json::json!({"map": keys, "list": ["1", "2", "3"]}));
    scope.set("app", &reading(found, ""));
    assert_eq!(
        truth("app.json.list.all(x, x in app.json.map)", &scope),
        Ok(true)
    );
    set(&mut scope, 200_000);
    assert_eq!(truth(flat, &scope), given_up);
}

/// Texts that would exhaust the stack of a parser or of the evaluation.
#[test]
fn bounds_hold() {
    for text in [
        format!("1{}", "+1".repeat(511)),
        format!("{}1{}", "(".repeat(32), ")".repeat(32)),
        format!("{}true", "!".repeat(1000)),
        format!("{}1", "-".repeat(1000)),
        format!("app.json{}", ".a".repeat(500)),
        format!("app.json{}", "['a']".repeat(200)),
        format!("true{}", " ? true : true".repeat(70)),
        format!("{}x", " ".repeat(1000)),
    ] {
        if let Ok(expression) = compile(&text) {
            let _ = expression.number(&scope());
        }
    }
    for (text, message) in [
        (
            "1+".repeat(600),
            "expression of 1200 bytes: the limit is 1024",
        ),
        ("(".repeat(33), "brackets nest deeper than 32"),
        (
            format!("{}app.json.a{}", "default(".repeat(31), ".a, 0)".repeat(31)),
            "default is nested deeper than 3",
        ),
        (
            "[1].all(a, [1].all(b, [1].all(c, true)))".to_owned(),
            "loops (all, exists, map, filter) nest deeper than 2",
        ),
    ] {
        assert_eq!(compile(&text).map(|_| ()).unwrap_err()[0].message, message);
    }
}
