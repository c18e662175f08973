use pgevents_tests::compose::{Engine, RELAY_IMAGE};

/// Runs the image with the rights that `docker-compose.yml` gives it and no network.
fn pgevents(arguments: &[&str]) -> String {
    let engine = Engine::find().unwrap_or_else(|error| panic!("{error}"));
    let locked = [
        "run",
        "--rm",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--network=none",
        RELAY_IMAGE,
    ];
    let answer = engine.ask(&[&locked, arguments].concat());
    answer.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_image_of_the_relay_answers_without_root_writable_disk_or_network() {
    assert!(pgevents(&["producer", "--help"]).contains("--pgslot"));
    assert!(pgevents(&["consumer_debug", "--help"]).contains("--rabbitmq-queue-name"));
    assert!(pgevents(&["--version"]).starts_with("pgevents "));
}

#[test]
fn the_image_of_the_relay_has_no_root_user_and_no_shell() {
    let engine = Engine::find().unwrap_or_else(|error| panic!("{error}"));
    let user = engine.ask(&[
        "image",
        "inspect",
        "--format",
        "{{.Config.User}}",
        RELAY_IMAGE,
    ]);
    assert_eq!(
        user.unwrap_or_else(|error| panic!("{error}")),
        "65532:65532"
    );
    let shell = engine.ask(&[
        "run",
        "--rm",
        "--entrypoint=/bin/sh",
        RELAY_IMAGE,
        "-c",
        "true",
    ]);
    let refusal = shell.expect_err("there is no shell").to_string();
    assert!(refusal.contains("no such file"), "{refusal}");
}
