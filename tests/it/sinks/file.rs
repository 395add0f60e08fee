//! Lines into a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use peerdeck::alerts::sinks::{FileSpec, Spec};

use super::{give, later, raised, sink};

fn lines(path: impl AsRef<Path>) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn b5_a_file_gets_whole_lines_that_only_its_group_may_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.log");
    let mut json = sink(&Spec::File(FileSpec::new(path.clone())));
    let all: Vec<_> = (1..=3).map(raised).collect();
    give(&mut json, &all).await.unwrap();
    let mut text = sink(&Spec::File(FileSpec { json: false, ..FileSpec::new(path.clone()) }));
    give(&mut text, &all[..1]).await.unwrap();
    let wanted: Vec<&str> = all.iter().map(|t| t.json.as_ref()).chain([all[0].text.as_ref()]).collect();
    assert_eq!(lines(&path), wanted);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o027, 0, "nobody else reads it");
}

#[tokio::test]
async fn b5_a_file_is_rotated_before_it_is_too_large_and_loses_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.log");
    let length = raised(10).json.len() as u64 + 1;
    let mut sink = sink(&Spec::File(FileSpec { max_bytes: 2 * length, keep: 2, ..FileSpec::new(path.clone()) }));
    for n in 10..17 {
        give(&mut sink, &[raised(n)]).await.unwrap();
    }
    let of = |name: &str| lines(dir.path().join(name)).len();
    assert_eq!((of("alerts.log"), of("alerts.log.1"), of("alerts.log.2")), (1, 2, 2));
    assert_eq!(lines(&path), [&*raised(16).json]);
    assert_eq!(lines(dir.path().join("alerts.log.1")), [&*raised(14).json, &*raised(15).json]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "no more than two are kept");
    let mut none = super::sink(&Spec::File(FileSpec { max_bytes: 1, keep: 0, ..FileSpec::new(path.clone()) }));
    give(&mut none, &[raised(20)]).await.unwrap();
    assert_eq!(lines(&path), [&*raised(20).json]);
}

#[tokio::test]
async fn b5_a_file_that_was_moved_away_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.log");
    let mut sink = sink(&Spec::File(FileSpec::new(path.clone())));
    give(&mut sink, &[raised(1)]).await.unwrap();
    fs::rename(&path, dir.path().join("alerts.log-20260314")).unwrap();
    give(&mut sink, &[raised(2)]).await.unwrap();
    assert_eq!(lines(&path), [&*raised(2).json]);
}

#[tokio::test]
async fn b5_half_a_line_of_a_crash_swallows_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.log");
    fs::write(&path, "{\"type\":\"al").unwrap();
    let mut sink = sink(&Spec::File(FileSpec::new(path.clone())));
    give(&mut sink, &[raised(1)]).await.unwrap();
    assert_eq!(lines(&path), ["{\"type\":\"al", &*raised(1).json]);
}

#[tokio::test]
async fn b5_what_is_no_file_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let mut pipe = sink(&Spec::File(FileSpec::new(path)));
    assert!(later(give(&mut pipe, &[raised(1)]).await).contains("not a regular file"));
    let mut folder = sink(&Spec::File(FileSpec::new(dir.path().to_owned())));
    assert!(later(give(&mut folder, &[raised(1)]).await).contains("directory"));
    let mut nowhere = sink(&Spec::File(FileSpec::new(dir.path().join("no/such/folder/a.log"))));
    assert!(later(give(&mut nowhere, &[raised(1)]).await).contains("a.log"));
}
