//! What `logboom search` finds.

use super::*;

#[test]
fn search_finds_whole_lines_newest_first() {
    let logboom = Logboom::new();
    logboom.run(&["run", "--quiet", "seq", "-f", "line %g of it", "1", "20"]).expect(0);
    let search = |args: &[&str]| -> Done { logboom.run(&[&["search", "--raw"], args].concat()) };
    assert_eq!(search(&["line 2 "]).expect(0).lines(), ["line 2 of it"]);
    assert_eq!(search(&["-n", "2", "line"]).expect(0).lines(), ["line 20 of it", "line 19 of it"]);
    assert_eq!(search(&["-n", "2", "--oldest", "line"]).expect(0).lines(), ["line 1 of it", "line 2 of it"]);
    assert_eq!(search(&["-e", "^line [37] "]).expect(0).lines(), ["line 7 of it", "line 3 of it"]);
    assert_eq!(search(&["LINE 5 "]).expect(1).text(), "");
    assert_eq!(search(&["-i", "LINE 5 "]).expect(0).lines(), ["line 5 of it"]);
    assert_eq!(search(&["-c", "line 1"]).expect(0).text(), "11\n");
    assert_eq!(search(&["-c", "no such"]).expect(1).text(), "0\n");
    assert_eq!(logboom.run(["search", "--json", "-c", "line 1"]).expect(0).text(), "{\"lines\":11}\n");
    assert!(search(&["-e", "("]).expect(2).stderr.contains("not a regular expression"));
}

#[test]
fn search_shows_the_lines_around() {
    let logboom = Logboom::new();
    logboom.run(&["run", "--quiet", "seq", "-f", "n%g.", "1", "20"]).expect(0);
    let around = |args: &[&str]| -> Vec<String> {
        let lines = logboom.run(&[&["search", "-C", "1"], args].concat()).expect(0).lines();
        lines.iter().map(|line| line.get(32..).unwrap_or(line).to_owned()).collect()
    };
    assert_eq!(around(&["n1."]), ["n1.", "n2."]);
    assert_eq!(around(&["n20."]), ["n19.", "n20."]);
    assert_eq!(around(&["-e", "n(5|15)\\."]), ["n14.", "n15.", "n16.", "--", "n4.", "n5.", "n6."]);
    assert_eq!(around(&["--oldest", "-e", "n(5|7)\\."]), ["n4.", "n5.", "n6.", "n7.", "n8."]);
}

#[test]
fn search_shows_each_line_once_where_runs_alternate() {
    let logboom = Logboom::new();
    let id = logboom.run(&["session", "start"]).expect(0).text();
    let script = "for i in 1 2 3 4; do until [ -e $0$i ]; do sleep 0.01; done; echo before; echo hit; echo after; touch $1; done";
    let start = |me: &str, next: &str| {
        let script = script.replace("$1", next);
        logboom.start(&["exec", "--session", id.trim(), "--name", me, "--quiet", "sh", "-c", &script, me])
    };
    let runs = [start("a", "b$i"), start("b", "a$((i+1))")];
    fs::write(logboom.path("a1"), "").unwrap();
    runs.into_iter().for_each(|run| drop(run.done().expect(0)));
    logboom.run(["session", "end", id.trim()]).expect(0);
    let lines = logboom.run(&["search", "-C", "2", "hit"]).expect(0).lines();
    let mut shown: Vec<&String> = lines.iter().filter(|line| *line != "--").collect();
    shown.sort();
    shown.dedup();
    assert_eq!((shown.len(), lines.len()), (24, 24 + 1), "{lines:?}");
}

#[test]
fn search_ignores_colours_unless_raw() {
    let logboom = Logboom::new();
    logboom.run_script("printf '\\033[31mred\\033[0m alert\\n'").expect(0);
    logboom.run(&["search", "red alert"]).expect(0);
    logboom.run(&["search", "--raw", "red alert"]).expect(1);
    logboom.run(&["search", "--raw", "[31mred"]).expect(0);
}

#[test]
fn search_goes_through_every_session() {
    let logboom = Logboom::new();
    logboom.run(&["run", "--name", "one", "echo", "needle a"]).expect(0);
    logboom.run(&["run", "--name", "two", "echo", "needle b"]).expect(0);
    assert_eq!(logboom.run(&["search", "--all", "--raw", "needle"]).expect(0).lines(), ["needle b", "needle a"]);
    assert_eq!(logboom.run(&["search", "--raw", "needle", "one"]).expect(0).lines(), ["needle a"]);
    let shown = logboom.run(&["search", "--all", "needle a"]).expect(0).text();
    let short = logboom.jsons(&["sessions", "--json"])[1]["short"].as_str().unwrap().to_owned();
    assert_eq!(&shown.trim_end()[28..], format!("O I [{short} one] needle a"));
}
