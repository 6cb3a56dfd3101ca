"""The code on the pages of docs/, as it stands there, against the local gateway.

python pages.py browser             needs Node
python pages.py android KOTLIN JSON   needs Java; KOTLIN is the folder of jars of kotlin-jupyter-kernel,
                                      JSON the jar of Android's org.json
"""

import pathlib
import re
import subprocess
import sys
import tempfile

from harness import ROOT, Checks, environment, local

HERE = pathlib.Path(__file__).resolve().parent
# More than any of them needs, and an end for one that hangs.
PATIENCE = 300


def code(page, language):
    """All blocks of a page in one language, in order."""
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    if not blocks:
        raise AssertionError(f"{page} has no {language}")
    return "\n".join(blocks)


def run(*command):
    done = subprocess.run(
        [str(part) for part in command],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode:
        raise AssertionError(f"it ended with {done.returncode}:\n{done.stdout}")


def people(chat):
    return chat.gateway, chat.alice_token, chat.bob_token, chat.channel


def browser(chat, folder):
    module = folder / "page.mjs"
    module.write_text(code("browser.md", "js"))
    run("node", HERE / "pages.mjs", module, *people(chat))


def android(chat, folder, kotlin, json):
    (folder / "Page.kt").write_text(code("android.md", "kotlin"))
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


if __name__ == "__main__":
    page, arguments = sys.argv[1], sys.argv[2:]
    check = {"browser": browser, "android": android}[page]
    checks = Checks(f"docs/{page}.md")
    with local() as chat, tempfile.TemporaryDirectory() as folder:
        checks.check("its code compiles and does what the page says", check, chat, pathlib.Path(folder), *arguments)
    sys.exit(checks.end())
