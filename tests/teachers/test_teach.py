from cedistill.teachers.teach import member_names


def test_member_files_are_named_after_kind_and_model_and_never_alike():
    teachers = [("bm25", ""), ("llm", "m"), ("llm", "m"), ("llm", "org/m"), ("llm", "m-2"), ("run", "a b/x.trec.gz")]
    assert member_names(teachers) == ["bm25", "llm-m", "llm-m-2", "llm-m-3", "llm-m-2-2", "run-x"]
