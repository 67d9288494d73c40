//! `unix_connect` and `receive`.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::Path,
};

use journal::Verb;
use tests::{
    expect::Expected,
    service::{self, Service},
    world::{World, words},
};

use crate::{part::Prepared, parts, script::Script};

pub(crate) fn every(world: &World) -> Prepared {
    let data = world.directory("data");
    let service = Service::start(&data);
    // Nobody listens any more.
    let left = data.join("left");
    drop(UnixListener::bind(&left).expect("the name is free"));
    fs::set_permissions(&left, fs::Permissions::from_mode(0o666)).expect("root may");
    let link = world.path("link");
    std::os::unix::fs::symlink(service.stream(), &link).expect("the world is writable");
    let name = service.name().to_owned();
    let script = Script::default()
        .act("unix_stream", &[service.stream()])
        .act("unix_stream", &[&link])
        .act("unix_datagram", &[service.datagram()])
        .act("unix_stream", &[&name])
        .act("unix_own", &[format!("{name}-own")])
        .act("unix_stream", &[left])
        .act("unix_stream", &[data.join("missing")])
        .act("unix_stream", &[format!("{name}-missing")]);
    Prepared { service: Some(service), ..Prepared::from(script).label("data", data) }
}

#[test]
fn a_connection_to_a_socket_of_this_host_is_one_unix_connect_of_its_file() {
    for part in parts("unix") {
        let service = part.service.as_ref().expect("the part has one");
        let data = part.path("data");
        let to = |path: &Path| Expected::file(Verb::UnixConnect, "data", path);
        let named = |name: &str| {
            Expected::file(Verb::UnixConnect, "system", Path::new(name)).by_descriptor()
        };
        let acts = [
            to(service.stream()).by_descriptor(),
            to(service.stream()).by_descriptor(),
            to(service.datagram()).by_descriptor(),
            named(service.name()),
            to(&data.join("left")).before_hooks("ECONNREFUSED"),
            to(&data.join("missing")).before_hooks("ENOENT"),
            named(&format!("{}-missing", service.name())).outcome("ECONNREFUSED"),
        ];
        part.assert_did(&acts);
    }
}

pub(crate) fn passed(world: &World) -> Prepared {
    let (file, socket) = (world.file("data/file"), world.directory("own").join("socket"));
    service::pass(&socket, &file);
    let script = Script::default().act("receive", &words([&socket]));
    Prepared::from(script).label("data", world.path("data"))
}

#[test]
fn a_descriptor_that_comes_by_a_message_is_a_receive_of_its_file() {
    for part in parts("passed") {
        let file = part.path("data/file");
        let socket =
            Expected::file(Verb::UnixConnect, "system", &part.path("own/socket")).by_descriptor();
        let mut acts = vec![socket];
        // Without LSM programs nothing tells of it.
        if part.has_lsm() {
            let received = Expected::file(Verb::Receive, "data", &file).with("flags", "0x1");
            acts.push(received.without_outcome());
        }
        part.assert_did(&acts);
        assert_eq!(part.outcomes(), [("receive", "ok")]);
    }
}
