//! A configuration in a volume as Kubernetes publishes a ConfigMap: files are links through `..data`, which root replaces.

use super::service;
use agentcheck_tests::mount::Mounted;
use agentcheck_tests::scene::Scene;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};

/// A user that no host has.
const ANN: u32 = 3_000_001;

/// The volume on the node, and where a container has it, read-only.
struct Volume {
    container: PathBuf,
    _read_only: Mounted,
    node: PathBuf,
    _node: Mounted,
}

impl Volume {
    /// Publishes `version` with a main file and one drop-in, and mounts it.
    fn new(scene: &Scene, text: &str) -> Self {
        let (node, container) = (
            scene.scratch.directory("node"),
            scene.scratch.directory("etc"),
        );
        let on_node = Mounted::tmpfs(&node, "size=1m");
        fs::set_permissions(&node, fs::Permissions::from_mode(0o777)).unwrap();
        publish(&node, "..1", text);
        symlink("..data/agentcheck.toml", node.join("agentcheck.toml")).unwrap();
        let read_only = Mounted::bind(&container, &node);
        assert!(read_only.try_remount("bind,ro"));
        Self {
            container,
            _read_only: read_only,
            node,
            _node: on_node,
        }
    }
}

/// What kubelet does for each version: a new directory, then a rename of the link.
fn publish(node: &Path, version: &str, text: &str) {
    fs::create_dir(node.join(version)).unwrap();
    fs::write(node.join(version).join("agentcheck.toml"), text).unwrap();
    symlink(version, node.join("..data_tmp")).unwrap();
    fs::rename(node.join("..data_tmp"), node.join("..data")).unwrap();
}

#[test]
fn published_configuration_is_reloaded() {
    let mut scene = Scene::new("volume");
    let (a, b) = (scene.number("a", "20"), scene.number("b", "60"));
    let volume = Volume::new(&scene, &(a + &service("web", "a")));
    scene.configuration = volume.container.join("agentcheck.toml");
    scene.start_as("collector", |command| {
        command.arg("--reload-on-change");
    });
    scene.wait_for_reply("web", "up 80% ");
    publish(&volume.node, "..2", &(b.clone() + &service("web", "b")));
    scene.wait_for_reply("web", "up 40% ");

    // A version with an error changes nothing, and the next one is loaded.
    publish(&volume.node, "..3", "[service.web]\nweight = \"(\"\n");
    scene.wait_for_log("reload failed; keeping the current configuration");
    scene.check_next_reply("web", "up 40% ");
    publish(
        &volume.node,
        "..4",
        &(b + &service("web", "b").replace("100)", "120)")),
    );
    scene.wait_for_reply("web", "up 50% ");
}

#[test]
fn directory_for_every_user_is_accepted_only_as_a_published_volume() {
    let scene = Scene::new("volume-trust");
    let text = scene.number("a", "20") + &service("web", "a");
    let volume = Volume::new(&scene, &text);
    let check = |directory: &Path| {
        let file = directory.join("agentcheck.toml");
        let mut command = std::process::Command::new(agentcheck_tests::binaries::collector());
        let output = command
            .args(["check", "--config"])
            .arg(file)
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let refused = "every user can create files in this directory, mode 0777";
    assert_eq!(check(&volume.container), "");
    // The node's directory is writable for every user.
    assert!(check(&volume.node).contains(refused));
    // Another user's link.
    lchown(volume.node.join("..data"), Some(ANN), None).unwrap();
    assert!(check(&volume.container).contains(refused));
    // Another user's volume.
    lchown(volume.node.join("..data"), Some(0), None).unwrap();
    assert_eq!(check(&volume.container), "");
    lchown(&volume.node, Some(ANN), None).unwrap();
    assert!(check(&volume.container).contains("the owner is"));
    lchown(&volume.node, Some(0), None).unwrap();
    // No link.
    fs::rename(volume.node.join("..data"), volume.node.join("data")).unwrap();
    fs::remove_file(volume.node.join("agentcheck.toml")).unwrap();
    fs::write(volume.node.join("agentcheck.toml"), &text).unwrap();
    assert!(check(&volume.container).contains(refused));
}
