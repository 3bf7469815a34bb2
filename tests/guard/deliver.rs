//! mm-deliver puts the guard before the programs of a guarded tree, and before no others.

use std::fs;
use std::time::Duration;

use crate::doors;
use crate::stage::Stage;

/// toylist is on tree b, which is guarded.
fn guarded_stage() -> Stage {
    let stage = Stage::new();
    stage.hand_parity(&["toylist"], &[]);
    let text = stage.read("state/parity.toml");
    let text = text.replace("guarded = []", "guarded = [\"b\"]");
    stage.write("state/parity.toml", text, 0o644);
    stage
}

#[test]
fn the_program_of_a_guarded_tree_gets_the_same_words_and_message() {
    let stage = guarded_stage();
    stage.deliver(&["request", "ToyList"], b"hello").expect(0);
    let ran = stage.ran();
    let [ran] = ran.as_slice() else {
        panic!("{ran:?}")
    };
    let program = stage.path("b/mail/mailman").display().to_string();
    assert_eq!(ran.argv, [program.as_str(), "request", "toylist"]);
    assert_eq!(
        (ran.tree.as_str(), ran.stdin.as_slice()),
        ("b", &b"hello"[..])
    );
}

#[test]
fn only_a_guarded_tree_has_its_statuses_judged() {
    let stage = guarded_stage();
    for status in [1, 67, 127] {
        stage.write("status", status.to_string(), 0o644);
        let kept = stage.deliver(&["post", "toylist"], b"m").expect(75);
        assert!(kept.stderr.starts_with("4.3.0 mm-guard: "), "{kept:?}");
        stage.deliver(&["post", "reallist1"], b"m").expect(status);
        let trees: Vec<String> = stage.ran().into_iter().map(|ran| ran.tree).collect();
        assert_eq!(trees.len(), 2, "{trees:?}");
    }
}

#[test]
fn a_guard_that_cannot_be_trusted_or_run_keeps_the_message() {
    let stage = guarded_stage();
    let guard = fs::read(stage.path("bin/mm-guard")).unwrap();
    let kept = || {
        let done = stage.deliver(&["post", "toylist"], b"m").expect(75);
        assert!(done.stderr.starts_with("4.3.0 mm-deliver: "), "{done:?}");
        assert!(stage.ran().is_empty());
        let told = stage.deliver(&["--explain", "post", "toylist"], b"");
        told.expect(75).complains(&["bin/mm-guard"]);
    };
    fs::remove_file(stage.path("bin/mm-guard")).unwrap();
    kept();
    stage.write("bin/mm-guard", &guard, 0o757);
    kept();
    stage.write("bin/mm-guard", &guard, 0o644);
    kept();
    stage.write("bin/mm-guard", &guard, 0o755);
    stage.deliver(&["post", "toylist"], b"m").expect(0);
    // Nobody needs it for the other tree.
    fs::remove_file(stage.path("bin/mm-guard")).unwrap();
    stage.deliver(&["post", "reallist1"], b"m").expect(0);
}

#[test]
fn explain_names_the_guard() {
    let stage = guarded_stage();
    let guard = format!("guard        {:?}", stage.path("bin/mm-guard"));
    stage
        .deliver(&["--explain", "post", "toylist"], b"")
        .expect(0)
        .says(&[&guard]);
    let other = stage
        .deliver(&["--explain", "post", "reallist1"], b"")
        .expect(0);
    assert!(!other.stdout.contains("guard "), "{other:?}");
}

#[test]
fn a_guarded_delivery_holds_the_floor_until_its_children_are_gone() {
    let stage = guarded_stage();
    stage.write(
        "b/mail/mailman",
        format!(
            "#!/bin/sh\n{{ while [ ! -e {0}/go ]; do sleep 0.01; done; }} &\nexit 0\n",
            stage.dir.display()
        ),
        0o755,
    );
    stage.deliver(&["post", "toylist"], b"m").expect(0);
    let mover = doors::mover(&stage);
    let floor = doors::floor("toylist");
    // For long enough that it is the child's: what mm-guard leaves behind closes its own at once.
    for _ in 0..50 {
        assert!(!mover.try_exclude(floor).unwrap(), "nobody holds the floor");
        std::thread::sleep(Duration::from_millis(10));
    }
    stage.write("go", "", 0o644);
    doors::until("the child ends", || mover.try_exclude(floor).unwrap());
}
