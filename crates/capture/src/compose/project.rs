//! The name of the project, as compose v1 finds it. v2 has more ways (`name:` in the file) and can be asked.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use super::arguments::Arguments;

/// The names of compose files that need not be given.
const FILES: [&str; 4] = ["docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml"];

/// Where compose is started.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The working directory.
    pub cwd: &'a Path,
    /// A variable of the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// The project that compose v1 has these arguments for; `None` where there is no compose file, which compose says.
pub fn name(arguments: &Arguments, world: World<'_>) -> Option<String> {
    if let Some(name) = given_name(arguments, world) {
        return Some(name);
    }
    let env = |name: &str| variable(arguments, world, name);
    let of_env_file = || env("COMPOSE_FILE")?.split(separator(world).as_str()).next().map(directory_of);
    let directory = directory(arguments, world).or_else(of_env_file).map(|directory| world.cwd.join(directory));
    let directory = directory.or_else(|| nearest(world.cwd))?;
    Some(of_directory(&directory))
}

/// The one that an option or a variable says, as all composes have it.
pub fn given_name(arguments: &Arguments, world: World<'_>) -> Option<String> {
    let named = arguments.values(&["--project-name", "-p"]).last().map(|name| (*name).to_owned());
    let named = named.filter(|name| !name.is_empty());
    named.or_else(|| variable(arguments, world, "COMPOSE_PROJECT_NAME")).map(|name| normalized(&name))
}

/// A variable as compose v1 has it: of the environment, else of the project's `.env` file.
pub fn variable(arguments: &Arguments, world: World<'_>, name: &str) -> Option<String> {
    let env_file = match arguments.values(&["--env-file"]).first() {
        Some(file) => world.cwd.join(file),
        None => world.cwd.join(directory(arguments, world).unwrap_or_default()).join(".env"),
    };
    (world.env)(name).or_else(|| of_env_file(&env_file, name)).filter(|value| !value.is_empty())
}

/// The directory that the arguments and the environment name.
fn directory(arguments: &Arguments, world: World<'_>) -> Option<PathBuf> {
    let variable = || (world.env)("COMPOSE_FILE").filter(|files| !files.is_empty());
    let given = arguments.values(&["--file", "-f"]).first().map(|file| (*file).to_owned());
    let file = given.or_else(|| variable()?.split(separator(world).as_str()).next().map(str::to_owned));
    let directory = arguments.values(&["--project-directory"]).first().map(PathBuf::from);
    directory.or_else(|| file.as_deref().map(directory_of))
}

fn separator(world: World<'_>) -> String {
    (world.env)("COMPOSE_PATH_SEPARATOR").unwrap_or_else(|| ":".to_owned())
}

/// `-` is standard input.
fn directory_of(file: &str) -> PathBuf {
    let parent = Path::new(file).parent().filter(|_| file != "-");
    parent.unwrap_or(Path::new("")).to_owned()
}

/// The nearest directory upwards with a compose file.
fn nearest(cwd: &Path) -> Option<PathBuf> {
    cwd.ancestors().find(|dir| FILES.iter().any(|file| dir.join(file).exists())).map(Path::to_owned)
}

fn of_directory(directory: &Path) -> String {
    let mut whole = PathBuf::new();
    for component in directory.components() {
        match component {
            Component::ParentDir => drop(whole.pop()),
            Component::CurDir => {}
            other => whole.push(other),
        }
    }
    whole.file_name().map_or_else(|| "default".to_owned(), |name| normalized(&name.to_string_lossy()))
}

/// Lower case, and only letters, digits, `-` and `_`.
fn normalized(name: &str) -> String {
    let is_kept = |letter: &char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(*letter);
    name.to_lowercase().chars().filter(is_kept).collect()
}

/// A variable of an `.env` file.
fn of_env_file(file: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.trim().trim_start_matches("export ").split_once('='));
    let found = pairs.rfind(|(key, _)| key.trim() == name);
    found.map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn name_in(cwd: &Path, line: &str, env: &[(&str, &str)]) -> Option<String> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        name(&Arguments::of(&words), World { cwd, env: &env })
    }

    #[test]
    fn the_project_is_found_as_compose_v1_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let shop = dir.path().join("My.Shop-1");
        let below = shop.join("src/deep");
        fs::create_dir_all(&below).unwrap();
        fs::create_dir_all(dir.path().join("other")).unwrap();
        assert_eq!(name_in(&below, "up", &[]), None);
        fs::write(shop.join("compose.yml"), "").unwrap();
        let found = |line: &str, env: &[(&str, &str)]| name_in(&below, line, env).unwrap();
        assert_eq!(found("up", &[]), "myshop-1");
        assert_eq!(found("-p The.Name up", &[("COMPOSE_PROJECT_NAME", "env")]), "thename");
        assert_eq!(found("up", &[("COMPOSE_PROJECT_NAME", "Env")]), "env");
        assert_eq!(found("-f ../../../other/a.yml -f b.yml up", &[]), "other");
        assert_eq!(found("up", &[("COMPOSE_FILE", "../../../other/a.yml:b.yml")]), "other");
        assert_eq!(found("--project-directory .. -f ../../../other/a.yml up", &[]), "src");
        assert_eq!(found("-f - up", &[]), "deep");
        fs::write(below.join(".env"), "A=b\nCOMPOSE_PROJECT_NAME='file'\n").unwrap();
        assert_eq!((found("up", &[]), found("up", &[("COMPOSE_PROJECT_NAME", "x")])), ("file".into(), "x".into()));
        assert_eq!(found("-f ../../../other/a.yml up", &[]), "other");
    }
}
