//! Links, anchors, commands and tables of the documents.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chime_message_status::config::VARIABLES;
use chime_message_status::problem::ProblemType;

/// Folders of the repository. A word of code that begins with one of them is a path.
const FOLDERS: [&str; 12] = [
    ".cargo/",
    ".ci/",
    ".github/",
    "benches/",
    "client/",
    "deploy/",
    "docs/",
    "events/",
    "examples/",
    "scripts/",
    "src/",
    "tests/",
];
/// Folders of build output, or with documents of other projects.
const SKIPPED_FOLDERS: [&str; 6] = ["target", "node_modules", "fuzz", "dist", "build", "venv"];
/// Prefixes of environment variables, ours and AWS's.
const VARIABLE_PREFIXES: [&str; 6] = [
    "ALLOWED_",
    "APP_INSTANCE_",
    "AWS_",
    "CHIME_",
    "MAX_WAIT_",
    "SESSION_ROLE_",
];
/// Variables that AWS sets, or that the SDK alone reads.
const OTHER_VARIABLES: [&str; 10] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_LOG_FORMAT",
    "AWS_LAMBDA_LOG_LEVEL",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_PROFILE",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_IAM",
];

/// Files, headings, tests and make targets that documents can refer to.
struct Repository {
    root: PathBuf,
    /// The headings of each document, by its path.
    headings: BTreeMap<String, BTreeSet<String>>,
    /// The names of all tests of this binary.
    tests: String,
    make_targets: BTreeSet<String>,
}

/// The parts of a Markdown text that are checked.
#[derive(Default)]
struct Document {
    headings: BTreeSet<String>,
    links: Vec<String>,
    /// Code spans, and the lines of `sh` blocks.
    code: Vec<String>,
}

impl Document {
    fn parse(text: &str) -> Self {
        let mut document = Self::default();
        let mut prose = String::new();
        let mut language = None;
        for line in text.replace("\\\n", " ").lines() {
            match (line.trim().strip_prefix("```"), language) {
                (Some(name), None) => language = Some(name == "sh"),
                (Some(_), Some(_)) => language = None,
                (None, Some(is_shell)) if is_shell && !line.starts_with('#') => {
                    document.code.push(line.to_owned());
                }
                (None, Some(_)) => {}
                (None, None) => {
                    prose.push_str(line);
                    prose.push('\n');
                }
            }
        }
        for line in prose.lines().filter(|line| line.starts_with('#')) {
            document.headings.insert(anchor(line));
        }
        for paragraph in prose.split("\n\n") {
            let mut text = String::new();
            for (index, part) in paragraph.split('`').enumerate() {
                if index % 2 == 0 {
                    text.push_str(part);
                } else {
                    document.code.push(part.replace('\n', " "));
                }
            }
            let targets = text.split("](").skip(1);
            let targets = targets.filter_map(|target| Some(target.split_once(')')?.0.to_owned()));
            document.links.extend(targets);
        }
        document
    }
}

/// The anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

impl Repository {
    fn read() -> (Self, BTreeMap<String, Document>) {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut documents = BTreeMap::new();
        collect(&root, &root, &mut documents);
        let binary = std::env::current_exe().expect("this binary");
        let list = Command::new(binary).arg("--list").output().expect("tests");
        let makefile = fs::read_to_string(root.join("Makefile")).unwrap_or_default();
        let targets = makefile.lines().filter_map(|line| line.split_once(':'));
        let repository = Self {
            root,
            headings: documents
                .iter()
                .map(|(path, document)| (path.clone(), document.headings.clone()))
                .collect(),
            tests: String::from_utf8(list.stdout).expect("UTF-8"),
            make_targets: targets.map(|(target, _)| target.to_owned()).collect(),
        };
        (repository, documents)
    }

    fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Everything that is wrong in the document at `path`.
    fn faults(&self, path: &str, document: &Document) -> Vec<String> {
        let links = document.links.iter().filter_map(|link| {
            let is_right = link.contains("://") || self.is_link(path, document, link);
            (!is_right).then(|| format!("{path}: the target of the link {link} does not exist"))
        });
        let code = document.code.iter().filter_map(|code| {
            let fault = self.fault_of_code(code)?;
            Some(format!("{path}: {fault} in {code:?}"))
        });
        links.chain(code).collect()
    }

    fn is_link(&self, path: &str, document: &Document, link: &str) -> bool {
        let (file, anchor) = match link.split_once('#') {
            Some((file, anchor)) => (file, Some(anchor)),
            None => (link, None),
        };
        let target = normalized(Path::new(path).parent().expect("a folder"), file);
        let headings = match file {
            "" => Some(&document.headings),
            _ => self.headings.get(&target),
        };
        let has = |anchor| headings.is_some_and(|headings| headings.contains(anchor));
        self.exists(&target) && anchor.is_none_or(has)
    }

    fn fault_of_code(&self, code: &str) -> Option<String> {
        let words: Vec<&str> = code.split_whitespace().collect();
        let after = |option: &[&str]| {
            let at = words.windows(option.len()).position(|w| w == option)?;
            words.get(at.checked_add(option.len())?..)
        };
        let names = |words: &[&str]| {
            let names = words.iter().take_while(|word| !word.starts_with('#'));
            names
                .filter(|word| !word.starts_with('-') && !is_placeholder(word))
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let filters = after(&["--test", "it"]).map(names).unwrap_or_default();
        if let Some(filter) = filters.iter().find(|filter| !self.tests.contains(*filter)) {
            return Some(format!("no test is named {filter}"));
        }
        let modules = after(&["test", "--lib"]).map(names).unwrap_or_default();
        if let Some(module) = modules
            .iter()
            .find(|m| !self.exists(&format!("src/{m}.rs")))
        {
            return Some(format!("no module is named {module}"));
        }
        if let Some(example) = after(&["--example"]).and_then(|words| words.first())
            && !self.exists(&format!("examples/{example}"))
        {
            return Some(format!("no example is named {example}"));
        }
        if let Some(template) = after(&["-t"]).and_then(|words| words.first())
            && !self.exists(template)
        {
            return Some(format!("no template is named {template}"));
        }
        if let ["make", target, ..] = words[..]
            && !self.make_targets.contains(target)
        {
            return Some(format!("make has no target {target}"));
        }
        words.iter().find_map(|word| self.fault_of_word(word))
    }

    fn fault_of_word(&self, word: &str) -> Option<String> {
        let word = word.trim_matches(|c: char| "\"'(),;:=".contains(c));
        let name = word.split('=').next().unwrap_or_default();
        let is_variable = name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            && VARIABLE_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix));
        if is_variable && !VARIABLES.contains(&name) && !OTHER_VARIABLES.contains(&name) {
            return Some(format!("{name} is not a variable of the configuration"));
        }
        let is_path = FOLDERS.iter().any(|folder| word.starts_with(folder));
        (is_path && !is_placeholder(word) && !self.exists(word))
            .then(|| format!("{word} does not exist"))
    }
}

/// Whether a word contains something for the reader to fill in.
fn is_placeholder(word: &str) -> bool {
    word.contains(['<', '*', '…', '{', '$']) || word.bytes().all(|b| b.is_ascii_uppercase())
}

/// The path `file`, relative to `folder`, without `..`.
fn normalized(folder: &Path, file: &str) -> String {
    let mut parts: Vec<&str> = folder.iter().filter_map(|part| part.to_str()).collect();
    for part in file.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn collect(root: &Path, folder: &Path, documents: &mut BTreeMap<String, Document>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.expect("UTF-8");
        if path.is_dir() {
            if !name.starts_with('.') && !SKIPPED_FOLDERS.contains(&name) {
                collect(root, &path, documents);
            }
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(&path).expect("a document");
            let path = path.strip_prefix(root).expect("inside").to_str();
            documents.insert(path.expect("UTF-8").to_owned(), Document::parse(&text));
        }
    }
}

#[test]
fn every_file_that_states_the_version_states_the_packages() {
    let version = env!("CARGO_PKG_VERSION");
    let semantic_version = format!("    SemanticVersion: {version}\n");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, line) in [
        ("openapi.yaml", format!("  version: {version}\n")),
        (
            "client/package.json",
            format!("  \"version\": \"{version}\",\n"),
        ),
        ("client/README.md", format!("-client-{version}.tgz\n")),
        ("template.yaml", semantic_version.clone()),
        ("deploy/rest-api.yaml", semantic_version.clone()),
        ("deploy/managed-instances.yaml", semantic_version),
    ] {
        let text = fs::read_to_string(root.join(file)).expect("a file");
        assert!(text.contains(&line), "{file} does not contain {line}");
    }
}

#[test]
fn every_link_anchor_and_command_in_the_documents_exists() {
    let (repository, documents) = Repository::read();
    assert!(documents.contains_key("README.md") && documents.contains_key("docs/api.md"));
    let faults = documents
        .iter()
        .flat_map(|(path, document)| repository.faults(path, document));
    let faults: Vec<_> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_kind_of_broken_link_or_command_is_reported() {
    let (repository, _) = Repository::read();
    for right in [
        "[a](guarantees.md#limits) [b](../README.md) [c](#here) [d](https://example.com/x#y)\n\n# Here",
        "`cargo test --test it waiting`, `cargo test --lib polling`, `src/<operation>.rs`",
        "```sh\ncargo run --example local -- --port 1\n# cargo run --example nothing\n```",
        "```json\n`events/nothing.json`\n```",
        "`MAX_WAIT_SECONDS=5`, `AWS_PROFILE`, `CREATE_CHANNEL_MESSAGE`",
    ] {
        let faults = repository.faults("docs/page.md", &Document::parse(right));
        assert!(faults.is_empty(), "{right}: {faults:?}");
    }
    for wrong in [
        "[a](nothing.md)",
        "[a](guarantees.md#nothing)",
        "[a](#here)\n\n```sh\n# here\n```",
        "`cargo test --test it nothing_like_it`",
        "`cargo test --test it -- waiting nothing_like_it`",
        "`cargo test --lib nothing`",
        "```sh\ncargo run --example \\\n  nothing\n```",
        "`make nothing`",
        "`events/nothing.json`",
        "`sam build -t nothing.yaml`",
        "`MAX_WAIT_MINUTES`",
        "```sh\nexport CHIME_NOTHING=1\n```",
    ] {
        let faults = repository.faults("docs/page.md", &Document::parse(wrong));
        assert_eq!(faults.len(), 1, "{wrong}: {faults:?}");
    }
}

#[test]
fn the_page_of_the_configuration_has_a_row_for_each_variable() {
    let page = include_str!("../../docs/configuration.md");
    for variable in VARIABLES {
        assert!(page.contains(&format!("\n| `{variable}` | ")), "{variable}");
    }
}

#[test]
fn the_page_of_the_api_has_a_row_for_each_problem() {
    let page = include_str!("../../docs/api.md");
    for problem in ProblemType::ALL {
        let row = format!(
            "\n| `{}` | {} | ",
            problem.name(),
            problem.status().as_u16()
        );
        assert!(page.contains(&row), "{row}");
    }
}
