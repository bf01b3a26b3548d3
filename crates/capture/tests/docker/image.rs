//! The image of all containers of tests: busybox alone, out of the machine's, so that nothing is pulled.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

/// Its number goes up with each change of what it holds, so that one that was made before is not taken for it.
pub const IMAGE: &str = "logboom-test:busybox-2";

/// Makes it where this docker command's engine does not have it yet.
pub fn make(docker: &[&str]) {
    // Two that make it at once would leave one without a name.
    let lock = File::create(std::env::temp_dir().join("logboom-test-image.lock")).unwrap();
    lock.lock().unwrap();
    let command = |args: &[&str]| {
        let mut command = Command::new(docker[0]);
        command.args(&docker[1..]).args(args).stdout(Stdio::null());
        command
    };
    if command(&["image", "inspect", IMAGE]).stderr(Stdio::null()).status().unwrap().success() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fill(root.path());
    let tar = Command::new("tar").arg("-C").arg(root.path()).args(["-c", "."]).stdout(Stdio::piped()).spawn();
    let mut tar = tar.unwrap();
    let made = command(&["import", "-", IMAGE]).stdin(tar.stdout.take().unwrap()).status().unwrap();
    assert!(tar.wait().unwrap().success() && made.success(), "the image of the tests cannot be made");
}

fn fill(root: &Path) {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.unwrap_or_else(|| panic!("busybox is missing (package busybox-static)"));
    for dir in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    let applets = Command::new(busybox).arg("--list").output().unwrap().stdout;
    for applet in String::from_utf8(applets).unwrap().lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
}
