use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn command(script: &str) -> OAuthConfig {
    let command = ["sh", "-c", script].map(String::from).to_vec();
    OAuthConfig { command, timeout: Duration::from_secs(1), ..OAuthConfig::default() }
}

fn web_token(claims: &str) -> String {
    format!("{}.{}.", URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}"), URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn a_token_expires_when_the_answer_or_its_claims_say_so() {
    let oauth = OAuthConfig { client_id: "news".into(), ..OAuthConfig::default() };
    let lifetime = |answer: &str| {
        let token = Token::read(answer, &oauth, NOW).unwrap();
        (token.expires.duration_since(NOW).unwrap().as_secs(), token.principal)
    };
    assert_eq!(lifetime("opaque-token\n"), (15 * 60, "news".into()));
    assert_eq!(lifetime(r#"{"access_token": "abc", "expires_in": 300}"#), (300, "news".into()));
    assert_eq!(lifetime(r#"{"token": "abc", "expires_in": 300.5, "more": null}"#), (300, "news".into()));
    assert_eq!(lifetime(&web_token(r#"{"sub": "alice", "exp": 70}"#)), (70, "alice".into()));
    let both = format!(r#"{{"access_token": "{}", "expires_in": 60}}"#, web_token(r#"{"exp": 70}"#));
    assert_eq!(lifetime(&both), (60, "news".into()));
}

#[test]
fn what_is_no_token_is_quoted() {
    let read = |answer: &str| Token::read(answer, &OAuthConfig::default(), NOW).unwrap_err().to_string();
    assert!(read("<html>Sign in</html>").contains("Sign in"));
    assert!(read("").contains("no token"));
    assert!(read(r#"{"error": "x"}"#).contains("access_token"));
    assert!(read(&web_token(r#"{"exp": -5}"#)).contains("expired"));
}

#[test]
fn a_token_is_shared_for_half_of_its_lifetime() {
    let token = Token::read("abc", &OAuthConfig::default(), NOW).unwrap();
    assert!(token.is_fresh(NOW + Duration::from_secs(7 * 60)));
    assert!(!token.is_fresh(NOW + Duration::from_secs(8 * 60)));
}

#[test]
fn a_command_prints_the_token() {
    assert_eq!(run(&command("echo abc")).unwrap(), "abc\n");
    let error = run(&command("echo who are you >&2; exit 3")).unwrap_err().to_string();
    assert!(error.contains("exit status: 3") && error.contains("who are you"), "{error}");
    let error = run(&command("sleep 60")).unwrap_err().to_string();
    assert!(error.contains("took longer than 1s"), "{error}");
    let missing = OAuthConfig { command: vec!["/no/such/program".into()], ..OAuthConfig::default() };
    assert!(run(&missing).unwrap_err().to_string().contains("/no/such/program"));
}

#[test]
fn clients_with_the_same_settings_ask_once() {
    let directory = tempfile::tempdir().unwrap();
    let count = directory.path().join("count");
    let mut client = ClientConfig::new();
    ask_for(&command(&format!("echo x >> {}; echo abc", count.display())), &mut client);
    let settings = client.get("sasl.oauthbearer.config");
    for _ in 0..3 {
        assert_eq!(token(settings).unwrap().token, "abc");
    }
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\n");
    assert!(token(None).err().unwrap().to_string().contains("kafka.oauth"));
}
