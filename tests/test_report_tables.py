"""Tables keep their meaning when a phone lays their rows out as cards."""

from mixplan.report.tables import cell, header, row, section, table


def test_table_names_its_roles_and_scopes() -> None:
    laid = table("wide", ["Domain", "Rows"], [row(header("a_b"), cell("7", kind="n"))], "Rows of each domain")
    assert laid == (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table: Rows of each domain">'
        '<table role="table" class="wide"><caption><span>Rows of each domain</span></caption>'
        '<thead role="rowgroup"><tr role="row">'
        '<th scope="col" role="columnheader">Domain</th><th scope="col" role="columnheader">Rows</th></tr></thead>'
        '<tbody role="rowgroup"><tr role="row"><th scope="row" role="rowheader">a<wbr>_b</th>'
        '<td role="cell" class="n">7</td></tr></tbody></table></div>'
    )


def test_section_is_named_by_its_heading() -> None:
    assert section("Every score", None) == (
        '<section aria-labelledby="every-score"><h2 id="every-score">Every score</h2></section>'
    )
