//! One Prometheus above others: what it gathers is what they have, and nothing has to be relabelled.

use std::{collections::BTreeSet, fs};

use tests::{
    deadline::wait_for,
    prometheus::{Changes, Labels, Prometheus},
};

use crate::{Watched, can_run};

#[test]
fn federation_and_remote_write_bring_every_series_as_it_is() {
    if !can_run() {
        return;
    }
    let watched = Watched::start("fleet");
    let (running, go) = watched.attack();
    let receives = Changes { words: &["--web.enable-remote-write-receiver"], ..Changes::default() };
    let receiver = Prometheus::start(&watched.world.path("receiver"), &receives);

    let target = watched.resident.address();
    let write = format!("\nremote_write:\n  - url: http://{}/api/v1/write\n", receiver.address());
    let below =
        Changes { target: Some(&target), host: Some("one"), more: &write, ..Changes::default() };
    let below = Prometheus::start(&watched.world.path("below"), &below);

    let federate = format!(
        "  - job_name: federate\n    honor_labels: true\n    metrics_path: /federate\n    params:\n      \
         'match[]': ['{{__name__=~\"belljar_.+\"}}']\n    static_configs:\n      - targets: [\"{}\"]\n",
        below.address()
    );
    let above = Changes { more: &federate, ..Changes::default() };
    let above = Prometheus::start(&watched.world.path("above"), &above);

    let with_host = |mut labels: Labels| {
        labels.insert("host".to_owned(), "one".to_owned());
        labels
    };
    let gathers = |name: &str, prometheus: &Prometheus| {
        wait_for(&format!("all series by {name}"), || {
            let there: BTreeSet<Labels> = below.series().into_iter().map(with_host).collect();
            let here: BTreeSet<Labels> = prometheus.series().into_iter().collect();
            (!there.is_empty() && there == here).then_some(())
        });
    };
    gathers("federation", &above);
    gathers("remote write", &receiver);
    // The alarm is the same above.
    for prometheus in [&above, &receiver] {
        wait_for("the alarm above", || {
            let fires = prometheus.query(r#"ALERTS{alertname="BelljarSubversion",host="one"}"#);
            (!fires.expect("it is an expression").is_empty()).then_some(())
        });
    }
    fs::write(&go, "").expect("the world is writable");
    running.finish().assert_code(80);
}
