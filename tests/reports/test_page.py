from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from seqgpt_lab.reports.page import render_page
from seqgpt_lab.reports.runs import STATUSES, Failure, Run

MakeRun = Callable[..., Run]
SCRIPT = "<script>alert('a\"b')</script>"


def shown(**data: str) -> nbformat.NotebookNode:
    """A cell that displayed these MIME types; `_` stands for the slash, `__` for a dot."""
    bundle = {name.replace("__", ".").replace("_", "/", 1): content for name, content in data.items()}
    return new_code_cell("show()", outputs=[new_output("display_data", data=bundle)])


def page_of(run: Run, *cells: nbformat.NotebookNode) -> BeautifulSoup:
    return BeautifulSoup(render_page(new_notebook(cells=list(cells)), run, None), "html.parser")


def fetched_by(page: BeautifulSoup) -> list[str]:
    """Everything on the page that a browser would run or load from somewhere when opening it."""
    active = [str(tag) for tag in page.find_all(["script", "iframe", "object", "embed", "link", "base", "audio", "video"])]
    loads = [f"{name}={value}" for tag in page.find_all(True) for name, value in tag.attrs.items() if _loads(tag.name, name, str(value))]
    styles = [str(tag) for tag in page.find_all("style") if "url(http" in tag.get_text() or "@import" in tag.get_text()]
    return active + loads + styles


def _loads(tag: str, name: str, value: str) -> bool:
    embedded = value.startswith(("data:", "#"))
    return (
        name.startswith("on")
        or (name in ("src", "srcset", "poster", "background", "action", "data", "ping") and not embedded)
        or (name in ("href", "xlink:href") and tag != "a" and not embedded)
        or (name == "style" and "url(" in value and "url(#" not in value and "url(data:" not in value)
    )


def test_the_page_loads_and_runs_nothing(make_run: MakeRun) -> None:
    hostile = (
        '<script src="https://cdn.example/x.js"></script><img src="https://pics.example/a.png" alt="chart" onerror="go()">'
        '<link rel="stylesheet" href="//cdn.example/a.css"><iframe src="https://x.example"></iframe>'
        '<p style="background:url(https://x.example/b.png)" onclick="go()">kept</p><a href="javascript:go()">a</a>'
        "<style>@import url(https://x.example/c.css); p > b { background: url('http://x.example/d.png'); color: red }</style>"
        '<svg><image href="https://x.example/e.png"></image><use href="https://x.example/f.svg#g"></use></svg>'
        '<form action="https://x.example"><input formaction="https://x.example"></form><img srcset="https://x.example/g.png 2x">'
    )
    cells = [
        new_markdown_cell(f"# T\n\n{hostile}\n\n![remote](https://x.example/h.png)"),
        shown(text_html=hostile),
        shown(text_markdown=hostile),
    ]
    page = page_of(make_run(), *cells)
    assert fetched_by(page) == []
    assert "kept" in page.get_text() and "picture left out, it is not embedded: chart" in page.get_text()
    assert not page.select('a[href^="javascript"]')
    assert "p > b" in str(page) and "color: red" in str(page)
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert policy is not None and "default-src 'none'" in str(policy["content"])


def test_what_a_widget_or_script_would_draw_falls_back_to_its_text(make_run: MakeRun) -> None:
    widget = shown(**{"application_vnd__jupyter__widget-view+json": '{"model_id": "1"}', "text_plain": "IntSlider(value=3)"})
    script = shown(application_javascript="alert(1)", text_plain="a script")
    notebook = new_notebook(cells=[widget, script], metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}}})
    page = BeautifulSoup(render_page(notebook, make_run(), None), "html.parser")
    assert fetched_by(page) == []
    assert "IntSlider(value=3)" in page.get_text() and "a script" in page.get_text()


def test_plain_output_is_text_not_markup(make_run: MakeRun) -> None:
    cell = new_code_cell("print()", outputs=[new_output("stream", name="stdout", text=f"{SCRIPT}<b>bold</b>")])
    page = page_of(make_run(), cell, shown(text_plain=SCRIPT), new_code_cell(f"# {SCRIPT}"))
    assert not page.find_all("script") and not page.select("pre.output b")
    assert page.get_text().count(SCRIPT) == 3


def test_everything_a_run_says_of_itself_is_escaped(make_run: MakeRun) -> None:
    run = make_run(
        id=SCRIPT,
        status="failed",
        notebook=SCRIPT,
        notebook_sha256=SCRIPT,
        parameters={SCRIPT: SCRIPT, "list": [SCRIPT]},
        code={"commit": SCRIPT, "dirty": True},
        versions={SCRIPT: SCRIPT},
        machine={"host": SCRIPT, "system": SCRIPT, "cpu": SCRIPT, "cores": 2, "memory_bytes": 2**30, "gpus": [SCRIPT]},
        model={"source": SCRIPT},
        data=({"path": SCRIPT, "sha256": SCRIPT},),
        error=Failure(SCRIPT, SCRIPT, 1, SCRIPT),
    )
    page = page_of(run, new_markdown_cell("text"))
    assert not page.find_all("script")
    assert page.get_text().count(SCRIPT) >= 18
    assert page.title is not None and page.title.get_text() == Path(SCRIPT).stem
    titled = page_of(run, new_markdown_cell("# </title><b>x</b>"))
    assert titled.title is not None and titled.title.get_text() == "</title><b>x</b>"


def test_parameters_are_a_table_in_readable_chinese_and_their_cells_are_hidden(make_run: MakeRun) -> None:
    declared = new_code_cell('name = "nobody"', metadata={"tags": ["parameters"]})
    injected = new_code_cell('name = "\\u5f20\\u4f1f"', metadata={"tags": ["injected-parameters"]})
    page = page_of(make_run(parameters={"name": "张伟", "kinds": ["简历"], "empty": ""}), declared, injected)
    rows = [[cell.get_text() for cell in row.find_all("td")] for row in page.select(".parameters tbody tr")]
    assert rows == [["name", "张伟", "this run"], ["kinds", '["简历"]', "default"], ["empty", "(empty)", "default"]]
    assert "nobody" not in str(page) and "\\u5f20" not in str(page)


def test_code_is_folded_and_messages_too(make_run: MakeRun) -> None:
    cell = new_code_cell("secret_of_the_cell()", outputs=[new_output("stream", name="stderr", text="50%")])
    page = page_of(make_run(), cell)
    assert [tag.get_text(strip=True) for tag in page.select("main details > summary")] == ["Code", "Messages"]
    assert not page.select("main details[open]")


@pytest.mark.parametrize("status", STATUSES)
def test_the_banner_says_how_the_run_ended(make_run: MakeRun, status: str) -> None:
    failure = None if status == "completed" else Failure("Kind", "what happened", 2)
    page = page_of(make_run(status=status, error=failure), new_code_cell("1", metadata={"papermill": {"status": "failed"}}))
    banner = page.select_one(".banner")
    assert banner is not None and status in banner.get_text()
    assert ("what happened" in banner.get_text()) == (status != "completed")
    assert bool(page.select('a[href="#stopped-here"]')) == (status != "completed")
    assert ("not complete" in banner.get_text()) == (status != "completed")


def test_every_cell_that_did_not_run_says_so(make_run: MakeRun) -> None:
    """Of a run that was killed: what is said above a result that is not there would else be taken for a result."""
    cells = [new_code_cell("1", metadata={"papermill": {"status": status}}) for status in ("completed", "failed", "pending", "pending")]
    page = page_of(make_run(status="killed", error=Failure("DeadKernelError", "gone", 2)), *cells)
    told = [[note.get_text() for note in cell.select(".not-run")] for cell in page.select(".cell.code")]
    assert told == [[], ["The run ended here."], ["Not run."], ["Not run."]]
    assert not page_of(make_run(), *cells[2:]).select(".not-run")


def test_contents_lead_to_every_section_even_where_headings_repeat(make_run: MakeRun) -> None:
    page = page_of(
        make_run(), *(new_markdown_cell(text) for text in ("# Title", "## 分数 & <i>scores</i>", "### Part", "## Part", "## Part"))
    )
    links = page.select("nav#contents a")
    assert [link.get_text() for link in links] == ["分数 & scores", "Part", "Part", "Part"]
    targets = [page.find(id=str(link["href"])[1:]) for link in links]
    assert len({id(target) for target in targets}) == 4 and None not in targets
    assert page.title is not None and page.title.get_text() == "Title"


def test_headings_that_a_cell_put_out_are_no_sections(make_run: MakeRun) -> None:
    cells = [new_markdown_cell("## One"), shown(text_html="<h3>resume-7</h3>"), new_markdown_cell("## Two\n\n### Three")]
    assert [link.get_text() for link in page_of(make_run(), *cells).select("nav#contents a")] == ["One", "Two", "Three"]


def test_broken_html_in_one_output_leaves_the_rest_of_the_page_alone(make_run: MakeRun) -> None:
    page = page_of(make_run(), shown(text_html="</main></body></html><div><table><tr><td>open"), new_markdown_cell("after"))
    assert len(page.find_all("body")) == 1
    assert page.select_one("main > section:last-of-type").get_text(strip=True) == "after"  # type: ignore[union-attr]


def test_progress_of_a_cell_that_was_stopped_is_one_message(make_run: MakeRun) -> None:
    steps = [new_output("stream", name="stderr", text=text) for text in ("read: 10%", "\rread: 20%", "\rread: 30%\nnext")]
    cell = new_code_cell(
        "read()", outputs=[*steps, new_output("stream", name="stdout", text="kept\r\n"), new_output("stream", name="stderr", text="end")]
    )
    page = page_of(make_run(), cell)
    assert [one.get_text() for one in page.select("details.messages pre")] == ["read: 30%\nnext", "end"]
    assert [one.get_text() for one in page.select("section > pre.output, .code > pre.output")] == ["kept\n"]


def test_of_a_text_without_end_its_beginning_and_end_are_shown(make_run: MakeRun) -> None:
    lines = "".join(f"line {number}\n" for number in range(60_000))
    cell = new_code_cell("print()", outputs=[new_output("stream", text=lines), new_output("stream", name="stderr", text="x" * 600_000)])
    first, second = (tag.get_text() for tag in page_of(make_run(), cell).select("pre.output"))
    assert len(first) < 501_000 and first.startswith("line 0\n") and first.endswith("line 59999\n")
    told = re.search(r"\n\[([\d,]+) characters are left out here; out.ipynb has them all\]\n\n(line \d+)\n", first)
    assert told is not None and len(first) - len(told[0]) + len(told[2]) + 1 + int(told[1].replace(",", "")) == len(lines)
    assert "\n[100,000 characters are left out here" in second


def test_provenance_is_at_the_foot(make_run: MakeRun) -> None:
    run = make_run(code={"commit": "abc123", "dirty": True}, versions={"torch": "2.13.0"}, data=({"path": "a.jsonl", "sha256": "f" * 64},))
    page = page_of(run, new_markdown_cell("text"))
    foot = page.select_one("footer").get_text(" ")  # type: ignore[union-attr]
    for part in (run.id, "2024-03-15 14:22:33 UTC", "git abc123, with uncommitted changes", "torch 2.13.0", "a.jsonl", "f" * 64):
        assert part in foot


def test_the_model_is_told_in_words(make_run: MakeRun) -> None:
    model = {"source": "tiny", "dtype": "bfloat16", "sha256": {"config.json": "ab12"}, "shape": {"hidden_size": 8}, "widened_from": None}
    foot = page_of(make_run(model=model), new_markdown_cell("text")).select_one("footer")
    assert foot is not None and "source tiny, dtype bfloat16; sha256: config.json ab12; shape: hidden size 8" in foot.get_text()
    assert "null" not in foot.get_text() and "{" not in foot.get_text()


def test_the_notebook_is_left_as_it_was_and_the_page_is_small(make_run: MakeRun) -> None:
    notebook = new_notebook(cells=[new_markdown_cell("# T"), shown(text_html="<b>x</b>")])
    before = nbformat.writes(notebook)
    assert len(render_page(notebook, make_run(), None).encode()) < 60_000
    assert nbformat.writes(notebook) == before
