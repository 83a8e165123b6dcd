//! The registry map changing under a running server.

use super::support::{MAP, Server, post, review, write_whole};
use pullpass::state::map_store::{MapError, MapFile};
use pullpass_core::admission::Endpoint;
use pullpass_core::map::Options;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const OK: &str = "pullpass_map_loads_total{result=\"ok\"}";
const FAILED: &str = "pullpass_map_loads_total{result=\"failed\"}";
const BAD: &str = "registries: 5\n";

async fn status(server: &Server) -> u16 {
    server
        .connect()
        .await
        .ask(&post(Endpoint::Validate, &review("u")))
        .await
        .status
}

fn more_entries(map: &str) -> String {
    map.replace(
        "- name: corp",
        "- name: more\n    match: [more.example]\n  - name: corp",
    )
}

#[tokio::test]
async fn a_new_map_is_taken_and_a_bad_one_refused_in_words() {
    let server = Server::start(|_| {}).await;
    let path = server.directory.path().join("map.yaml");
    assert_eq!(server.metric("pullpass_map_entries").await, Some(1.0));

    write_whole(&path, more_entries(MAP));
    server.metric_becomes(OK, 2.0).await;
    assert_eq!(server.metric("pullpass_map_entries").await, Some(2.0));

    write_whole(&path, BAD);
    server.metric_becomes(FAILED, 1.0).await;
    assert_eq!(server.metric("pullpass_map_entries").await, Some(2.0));
    assert_eq!(
        server.metric("pullpass_map_last_load_successful").await,
        Some(0.0)
    );
    assert_eq!(status(&server).await, 200);
    assert_eq!(server.admin("/readyz").await.body, "ok\n");
    let words = server.admin("/readyz?verbose").await;
    assert_eq!(words.status, 200);
    assert!(words.body.contains("[+]registry-map ok"), "{}", words.body);
    assert!(words.body.contains("refused"), "{}", words.body);

    fs::remove_file(&path).unwrap();
    server.metric_becomes(FAILED, 2.0).await;
    assert_eq!(status(&server).await, 200);

    write_whole(&path, MAP);
    server.metric_becomes(OK, 3.0).await;
    assert!(
        !server
            .admin("/readyz?verbose")
            .await
            .body
            .contains("refused")
    );
}

#[tokio::test]
async fn without_a_map_at_the_start_it_waits_for_one() {
    for broken in [None, Some(BAD)] {
        let map = tempfile::tempdir().unwrap();
        let path = map.path().join("late.yaml");
        if let Some(broken) = broken {
            write_whole(&path, broken);
        }
        let server = Server::start(|config| {
            config.map = MapFile::new(path.clone(), Options::default());
        })
        .await;
        assert_eq!(status(&server).await, 503);
        let ready = server.admin("/readyz").await;
        assert_eq!(ready.status, 503);
        assert!(
            ready.body.contains("[-]registry-map failed: "),
            "{}",
            ready.body
        );
        let words = if broken.is_some() {
            "in the log"
        } else {
            "late.yaml"
        };
        assert!(ready.body.contains(words), "{}", ready.body);
        assert_eq!(ready.body.lines().count(), 6, "{}", ready.body);
        assert_eq!(server.admin("/livez").await.status, 200);

        write_whole(&path, MAP);
        server.metric_becomes(OK, 1.0).await;
        assert_eq!(status(&server).await, 200);
        assert_eq!(server.admin("/readyz").await.status, 200);
    }
}

/// Puts a version of the files in place as the kubelet does with a mounted `ConfigMap`.
fn publish(volume: &Path, version: &str, files: &[(&str, &str)]) {
    let directory = volume.join(format!("..{version}"));
    fs::create_dir(&directory).unwrap();
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
        let _ = symlink(format!("..data/{name}"), volume.join(name));
    }
    symlink(format!("..{version}"), volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
}

#[tokio::test]
async fn a_mounted_config_map_is_followed() {
    let volume = tempfile::tempdir().unwrap();
    publish(volume.path(), "1", &[("map.yaml", MAP)]);
    let server = Server::start(|config| {
        config.map = MapFile::new(volume.path().to_owned(), Options::default());
    })
    .await;
    assert_eq!(server.metric("pullpass_map_entries").await, Some(1.0));
    publish(volume.path(), "2", &[("map.yaml", &more_entries(MAP))]);
    server.metric_becomes("pullpass_map_entries", 2.0).await;
    assert_eq!(server.metric(FAILED).await, Some(0.0));
}

#[test]
fn a_directory_gives_its_maps_in_the_order_of_their_names() {
    let directory = tempfile::tempdir().unwrap();
    for name in [
        "b.yaml",
        "a.yml",
        "c.json",
        ".hidden.yaml",
        "notes.txt",
        "yaml",
    ] {
        fs::write(directory.path().join(name), name).unwrap();
    }
    fs::create_dir(directory.path().join("deeper.yaml")).unwrap();
    let files = MapFile::new(directory.path().to_owned(), Options::default())
        .read()
        .unwrap();
    let texts: Vec<_> = files.iter().map(|file| file.text.as_str()).collect();
    assert_eq!(texts, ["a.yml", "b.yaml", "c.json"]);
}

#[test]
fn what_cannot_be_read_is_said_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let read = |path: &Path| {
        MapFile::new(path.to_owned(), Options::default())
            .read()
            .unwrap_err()
    };
    assert!(matches!(read(directory.path()), MapError::Empty(_)));
    let missing = directory.path().join("missing.yaml");
    assert!(read(&missing).to_string().contains("missing.yaml"));
    let binary = directory.path().join("binary.yaml");
    fs::write(&binary, b"\xff\xfe").unwrap();
    assert!(read(&binary).to_string().contains("UTF-8"));
}
