from __future__ import annotations

import io

import pandas as pd


def test_a_query_prints_a_table(invoke, finished):
    result = invoke("sql", finished, "select split, count(*) as images from split group by split order by split")
    assert result.exit_code == 0
    rows = [line.split() for line in result.output.splitlines()]
    assert rows == [["split", "images"], ["test", "60"], ["train", "60"], ["val", "40"]]


def test_csv_is_what_other_programs_read(invoke, finished):
    result = invoke("sql", finished, 'select * from estimates order by "class", metric', "--csv")
    assert result.exit_code == 0
    table = pd.read_csv(io.StringIO(result.stdout))
    assert set(table["arm"]) == {"control", "weighted_sampling"}
    assert {"effusion", "mass"} < set(table["class"])
    assert len(table) == len(pd.read_parquet(finished / "estimates.parquet"))


def test_a_wrong_query_lists_the_tables(invoke, finished):
    result = invoke("sql", finished, "select * from finding")
    assert result.exit_code == 2
    assert "the query failed: Catalog Error: Table with name finding does not exist!" in result.stderr
    assert "Tables: images, labels, annotations, split, class_counts, history, predictions" in result.stderr


def test_an_empty_result_says_its_columns(invoke, finished):
    result = invoke("sql", finished, "select split from split where split = 'none'")
    assert result.exit_code == 0
    assert result.output.split() == ["split"]


def test_a_long_result_is_cut_and_the_cut_is_said(invoke, finished):
    result = invoke("sql", finished, "select * from range(1005)")
    assert "805 further rows are not shown" in result.output


def test_a_folder_that_is_no_experiment_is_refused(invoke, tmp_path):
    result = invoke("sql", tmp_path, "select 1")
    assert result.exit_code == 2
    assert "is no experiment folder: it holds no experiment.yaml" in result.stderr


def test_an_empty_query_is_refused(invoke, finished):
    for query in ("", "  ", "/* nothing */"):
        result = invoke("sql", finished, query)
        assert result.exit_code == 2
        assert 'the query is empty; e.g. "select * from findings"' in result.stderr


def test_a_table_of_many_columns_stays_readable(invoke, finished):
    result = invoke("sql", finished, "select * from findings limit 2")
    names = pd.read_parquet(finished / "findings.parquet").columns
    starts = [line.split()[0] for line in result.output.splitlines() if line]
    assert starts == [*names, *names]
