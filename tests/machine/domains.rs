//! The map of lists of domains, as Postfix looks it up: kept by sync, and compared by check.

use std::fs;

use crate::rig::Machine;

const FILE: &str = "/etc/postfix/virtual-lists";

/// `check` must end with 2, and say this.
#[track_caller]
fn is_critical(machine: &Machine, told: &str) {
    let check = machine.run("mm-aliases check");
    assert_eq!(check.status.code(), Some(2));
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(said.contains(told), "{told}: {said}");
}

#[test]
fn postfix_the_map_of_lists_of_domains_is_kept_by_sync() {
    let machine = Machine::new(&["toylist"]);
    let site = machine.path("/etc/mm-deliver/site.toml");
    let text = fs::read_to_string(&site).unwrap();
    let text = text
        .replace("[trees.b]\n", "[trees.b]\ndomain = \"lists.far.example\"\n")
        .replace("[deliver]", &format!("virtual = \"{FILE}\"\n[deliver]"));
    fs::write(&site, text).unwrap();
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    // The text is there, and Postfix reads it nowhere.
    is_critical(
        &machine,
        "virtual_alias_maps has no map of \"/etc/postfix/virtual-lists\"",
    );
    machine.expect(&format!("postconf virtual_alias_maps=hash:{FILE}"));
    is_critical(&machine, "CRITICAL: virtual: ");
    machine.expect("mm-aliases sync");
    machine.expect("mm-aliases check");
    let asked = format!("postmap -q toylist-owner@lists.far.example hash:{FILE}");
    assert_eq!(machine.expect(&asked), "toylist-owner\n");
    // A list is born.
    let data = machine.path("/srv/mailman/var/lists");
    fs::create_dir(data.join("newlist")).unwrap();
    fs::copy(
        data.join("toylist/config.pck"),
        data.join("newlist/config.pck"),
    )
    .unwrap();
    machine.expect("mm-aliases sync");
    let asked = format!("postmap -q newlist@lists.far.example hash:{FILE}");
    assert_eq!(machine.expect(&asked), "newlist\n");
    // The map is torn, and the text is not.
    fs::write(machine.path(&format!("{FILE}.db")), "").unwrap();
    is_critical(&machine, "CRITICAL: virtual: ");
    machine.expect("mm-aliases sync");
    machine.expect("mm-aliases check");
    assert_eq!(machine.expect(&asked), "newlist\n");
}
