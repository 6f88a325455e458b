"""Two thousand hostile inputs of a fixed seed; `make fuzz` tries a hundred thousand."""

import inputs


def test_two_thousand_hostile_inputs_are_refused_in_words_or_kept(tmp_path):
    found, _ = inputs.fuzz(seed=1, count=2000, folder=tmp_path)
    assert found == []


def test_the_inputs_are_the_same_each_time_and_reach_beyond_the_parser():
    first, again = list(inputs.inputs(1, 200)), list(inputs.inputs(1, 200))
    assert first == again
    kept = [text for text, ending in inputs.inputs(1, 200) if not ending and not inputs.broken(text, None)]
    assert len(kept) > 100
