"""Tests of the code in docs/frontends/.

python pages.py browser               runs it against the local gateway; needs Node
python pages.py android KOTLIN JSON   compiles and runs it; needs Java. KOTLIN is the folder of jars of
                                      kotlin-jupyter-kernel, JSON the jar of Android's org.json
python pages.py ios                   parses it; needs tree-sitter and tree-sitter-swift
"""

import pathlib
import subprocess
import sys
import tempfile

from harness import ROOT, Checks, environment, local

HERE = pathlib.Path(__file__).resolve().parent
# Timeout in seconds, longer than any page needs.
TIMEOUT = 300


def code(name):
    return (ROOT / "docs" / "frontends" / name).read_text()


def run(*command):
    done = subprocess.run(
        [str(part) for part in command],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
    )
    if done.returncode:
        raise AssertionError(f"it ended with {done.returncode}:\n{done.stdout}")


def people(chat):
    return chat.gateway, chat.alice_token, chat.bob_token, chat.channel


def browser(chat, folder):
    module = folder / "page.mjs"
    module.write_text(code("message-status.js"))
    run("node", HERE / "pages.mjs", module, *people(chat))


def android(chat, folder, kotlin, json):
    (folder / "Page.kt").write_text(code("MessageStatus.kt"))
    jars = pathlib.Path(kotlin)
    compiler = next(jars.glob("kotlin-jupyter-kernel-*-all.jar"))
    library = next(jars.glob("kotlin-stdlib-*.jar"))
    run(
        *("java", "-cp", f"{compiler}:{library}", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"),
        *("-no-stdlib", "-no-reflect", "-Werror", "-jvm-target", "1.8"),
        *("-cp", f"{library}:{json}", "-d", folder / "classes"),
        *(folder / "Page.kt", HERE / "Pages.kt"),
    )
    run("java", "-cp", f"{folder / 'classes'}:{library}:{json}", "PagesKt", *people(chat))


def ios():
    import tree_sitter
    import tree_sitter_swift

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))
    if not parser.parse(b"let broken = (").root_node.has_error:
        raise AssertionError("the grammar accepts anything")
    source = code("MessageStatus.swift").encode()
    tree = parser.parse(source)
    if tree.root_node.has_error:
        raise AssertionError(f"the Swift code does not parse:\n{errors(tree.root_node, source)}")


def errors(node, source):
    """The lines with syntax errors."""
    if node.is_error or node.is_missing:
        line = node.start_point[0]
        return f"{line + 1}: {source.decode().splitlines()[line]}\n"
    return "".join(errors(child, source) for child in node.children if child.has_error)


if __name__ == "__main__":
    page, arguments = sys.argv[1], sys.argv[2:]
    checks = Checks(f"docs/frontends: {page}")
    if page == "ios":
        checks.check("its code parses as Swift", ios)
        sys.exit(checks.end())
    check = {"browser": browser, "android": android}[page]
    with local() as chat, tempfile.TemporaryDirectory() as folder:
        checks.check("its code runs and does what the page says", check, chat, pathlib.Path(folder), *arguments)
    sys.exit(checks.end())
