"""Break each mechanism on purpose, and see the test of its promise fail.

    python tests/controls.py              all, about ten minutes; exits with 1 if a test passed
    python tests/controls.py fsync NaN    those whose names contain one of the words

A test that cannot fail proves nothing. Every control changes one place in a copy of charlm and runs
the test of that promise, which must fail; without the change, all tests must have passed. The
printed table is in ``docs/reliability.md``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Control:
    """If ``old`` is replaced by ``new`` in ``file``, ``test`` must fail."""

    what: str
    file: str
    old: str
    new: str
    test: str


CONTROLS = [
    Control(
        "the state is forgotten at a resume",
        "training/trainer.py",
        "for part in state.hidden\n",
        "for part in like\n",
        "test_resume.py::test_every_cell_and_optimizer_resumes_exactly",
    ),
    Control(
        "the optimizer is forgotten at a resume",
        "training/trainer.py",
        "        self.optimizers.load(state.optimizer)\n",
        "",
        "test_resume.py::test_every_cell_and_optimizer_resumes_exactly",
    ),
    Control(
        "dropout continues from torch's own generator",
        "training/step.py",
        '    torch.manual_seed(derive(config.seed, "dropout", step))\n',
        "",
        "test_resume.py::test_k_and_the_rest_are_the_whole_for_every_k",
    ),
    Control(
        "a different number of threads is not reported",
        "training/state.py",
        '        ("number of threads", training.get("threads"), here["threads"]),\n',
        "",
        "test_resume.py::test_another_number_of_threads_is_said_in_one_line",
    ),
    Control(
        "a sample moves the state of training",
        "training/trainer.py",
        "        model = CharLM(self.checkpoint(resumable=False))\n",
        "        model = CharLM(self.checkpoint(resumable=False))\n"
        "        self.state = self.model.initial_state(self.streams.batch_size)\n",
        "test_resume.py::test_looking_saving_and_sampling_change_nothing",
    ),
    Control(
        "a file is not flushed before it is renamed",
        "files.py",
        "            file.flush()\n            os.fsync(file.fileno())\n        os.chmod",
        "            file.flush()\n        os.chmod",
        "test_files.py::test_bytes_reach_the_disk_before_they_take_the_name",
    ),
    Control(
        "a file is overwritten in place",
        "files.py",
        '        with open(descriptor, "wb") as file:',
        '        os.close(descriptor)\n        with open(path, "wb") as file:',
        "test_files.py::test_a_killed_process_leaves_one_whole_version",
    ),
    Control(
        "no previous checkpoint is kept",
        "training/trainer.py",
        "checkpoint.write(run.last, found, keep_as=run.previous)",
        "checkpoint.write(run.last, found)",
        "test_resume.py::test_a_damaged_last_gives_way_to_previous_and_nothing_is_lost",
    ),
    Control(
        "a fallback leaves the damaged last in its place",
        "cli/resuming.py",
        "        checkpoint.write(run.last, saved)\n",
        "",
        "test_resume.py::test_previous_is_whole_at_every_moment_of_a_fallback",
    ),
    Control(
        "the log is not truncated",
        "rundir.py",
        'if record["step"] <= step]',
        "]",
        "test_train.py::test_a_log_beyond_the_checkpoint_is_cut_back",
    ),
    Control(
        "an interrupted evaluation is not repeated",
        "training/trainer.py",
        "        return due and self.progress.evaluated_at != step",
        "        return due and self._saved != self.progress",
        "test_signals.py::test_a_signal_saves_within_seconds_and_nothing_is_lost",
    ),
    Control(
        "SIGTERM is ignored",
        "cli/signals.py",
        "for number in (signal.SIGINT, signal.SIGTERM):\n            self._before",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n        for number in (signal.SIGINT,):\n"
        "            self._before",
        "test_signals.py::test_a_signal_saves_within_seconds_and_nothing_is_lost",
    ),
    Control(
        "a second Ctrl-C is ignored like the first",
        "cli/signals.py",
        "            signal.signal(each, second)\n",
        "            pass\n",
        "test_signals.py::test_a_second_signal_leaves_at_once_and_corrupts_nothing",
    ),
    Control(
        "a loss that is not finite is accepted",
        "training/step.py",
        "if not (math.isfinite(nats) and math.isfinite(length)):",
        "if False:",
        "test_train.py::test_divergence_stops_before_the_update",
    ),
    Control(
        "loss and norm are read one after the other",
        "training/step.py",
        "    nats, length = found.tolist()\n",
        "    nats, length = found[0].item(), found[1].item()\n",
        "test_step.py::test_the_host_reads_once_per_update",
    ),
    Control(
        "the sum of the losses is not divided by their count",
        "training/step.py",
        "    loss = total / count\n",
        "    loss = total\n",
        "test_step.py::test_the_loss_is_the_sum_over_the_count_and_so_is_its_gradient",
    ),
    Control(
        "every block draws the same dropout masks",
        "training/step.py",
        'derive(config.seed, "dropout", step, piece.block)',
        'derive(config.seed, "dropout", step)',
        "test_rows.py::test_dropout_in_blocks_is_the_same_at_every_run_and_differs_between_blocks",
    ),
    Control(
        "a block's gradient is lost",
        "training/step.py",
        "    for other in gradients[1:]:",
        "    for other in gradients[2:]:",
        "test_rows.py::test_the_gradient_is_that_of_the_whole_batch_to_rounding",
    ),
    Control(
        "what a GPU says late is never looked at",
        "training/trainer.py",
        "        nats = self.read()  # of the step before\n",
        "        nats = None\n",
        "test_train.py::test_an_update_that_is_read_late_never_reaches_a_checkpoint",
    ),
    Control(
        "a recorded step takes the graph of another turn",
        "training/graph.py",
        "        self._turns[turn % len(self._turns)]()",
        "        self._turns[0]()",
        "test_graph.py::test_a_replay_takes_the_graph_of_its_turn",
    ),
    Control(
        "the optimizer remembers the steps that were only recorded",
        "training/graph.py",
        "slot.copy_(known[name]) if name in known else slot.zero_()",
        "pass",
        "test_graph.py::test_recording_moves_nothing",
    ),
    Control(
        "a recorded state is not reset where an epoch starts",
        "training/graph.py",
        "                own.zero_()\n            elif",
        "                pass\n            elif",
        "test_graph.py::test_the_recorded_step_is_the_step",
    ),
    Control(
        "slow steps never change the number of blocks",
        "training/rows.py",
        "        if update > SLOWER * self.usual:",
        "        if False:",
        "test_pace.py::test_beside_another_program_the_rows_are_cut_into_blocks",
    ),
    Control(
        "the blocks of a run's progress are not used",
        "training/trainer.py",
        "self.config.row_blocks if split is None else split.blocks",
        "self.config.row_blocks",
        "test_rows.py::test_the_blocks_of_a_run_s_progress_are_used_stored_and_resumed",
    ),
    Control(
        "the embeddings have no dropout",
        "models/bodies.py",
        "weight * self.embedding_dropout(torch.ones_like(weight))",
        "weight",
        "test_models.py::test_embedding_dropout_is_dropout_of_the_embedding_matrix",
    ),
    Control(
        "Muon has Jordan's polynomials alone",
        "training/optim.py",
        "orthogonalized(momentum, self.quintics)",
        "orthogonalized(momentum)",
        "test_optim.py::test_the_polynomials_of_muon_are_those_it_was_given",
    ),
    Control(
        "a network on a device forgets its state",
        "models/predictor.py",
        "before = tuple(self._tensor(part) for part in state)",
        "before = tuple(self._tensor(0 * part) for part in state)",
        "test_predictor.py::test_the_network_on_a_device_is_the_engine",
    ),
    Control(
        "weights that are not finite are written",
        "checkpoint.py",
        "            if value.dtype == np.float32 and not np.isfinite(value).all():",
        "            if False:",
        "test_checkpoint.py::test_nothing_that_is_not_finite_is_ever_written",
    ),
    Control(
        "the checksum is not compared",
        "tensorfile.py",
        '    if digest(metadata, tensors) != metadata.get("sha256"):',
        "    if False:",
        "test_checkpoint.py::test_no_changed_bit_passes",
    ),
    Control(
        "the checksum leaves the metadata out",
        "tensorfile.py",
        '    sha.update(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode())\n',
        "",
        "test_checkpoint.py::test_no_changed_bit_passes",
    ),
    Control(
        "a header may be of any size",
        "tensorfile.py",
        "    if length > MAX_HEADER:\n        raise",
        "    if False:\n        raise",
        "test_hostile.py::test_a_file_that_claims_a_gigabyte_is_refused_unread",
    ),
    Control(
        "JSON may hold any number of values",
        "tensorfile.py",
        "    if _items(text) > MAX_ITEMS:\n        raise ValueError",
        "    if False:\n        raise ValueError",
        "test_hostile.py::test_a_hostile_file_is_refused_in_a_second_and_in_little_memory",
    ),
    Control(
        "a key may appear twice in JSON",
        "tensorfile.py",
        "    if len(values) != len(pairs):",
        "    if False:",
        "test_hostile.py::test_a_hostile_file_is_refused_in_a_second_and_in_little_memory",
    ),
    Control(
        "surplus tensors are read",
        "checkpoint.py",
        "    if missing or surplus:",
        "    if missing:",
        "test_hostile.py::test_a_hostile_file_is_refused_in_a_second_and_in_little_memory",
    ),
    Control(
        "a byte-order mark is text",
        "text/reading.py",
        "data[3:] if head.startswith(_UTF_8_MARK) else data",
        "data",
        "test_bad_text.py::test_it_trains_on_exactly_this_text",
    ),
    Control(
        "a pipe or device is opened",
        "text/reading.py",
        "            if not stat.S_ISREG(os.stat(self.path).st_mode):",
        "            if False:",
        "test_bad_text.py -k fifo",
    ),
    Control(
        "a file that grows is not noticed",
        "text/reading.py",
        "(before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)",
        "False",
        "test_bad_text.py -k grow",
    ),
    Control(
        "a long text is decoded slice by slice",
        "text/survey.py",
        "decoder.decode(piece, final=offset + len(piece) == len(block))",
        'piece.decode("utf-8", "replace")',
        "test_long_texts.py::test_a_long_text_is_what_a_short_one_is",
    ),
    Control(
        "a long text that was just written is taken for the one before",
        "text/reading.py",
        "    if times and time.time_ns()",
        "    if False and time.time_ns()",
        "test_long_texts.py::test_a_text_that_was_just_written_is_surveyed_again",
    ),
    Control(
        "an entry of the cache is used whatever its size",
        "text/cache.py",
        ' or facts.get("size") != stat.st_size',
        "",
        "test_long_texts.py::test_a_damaged_entry_is_made_again",
    ),
    Control(
        "the rows of a mix that begin anew keep their state",
        "training/objectives.py",
        "        elif batch.restarts is not None:",
        "        elif False:",
        "test_mixed_streams.py::test_only_the_rows_that_begin_anew_forget",
    ),
    Control(
        "the documents of a text keep their order",
        "text/streams.py",
        "        keys = scrambled(np.arange(len(self._lengths), dtype=np.uint64) + seed)",
        "        keys = np.arange(len(self._lengths))",
        "test_mixed_streams.py::test_every_epoch_and_every_seed_has_another_order",
    ),
    Control(
        "every process of a training has the same rows",
        "training/group.py",
        "        return slice(self.rank * each, (self.rank + 1) * each)",
        "        return slice(0, each)",
        "test_group.py::test_two_processes_give_the_weights_of_one",
    ),
    Control(
        "a process draws the dropout of its own rows alone",
        "training/rows.py",
        "                module.rows = None if whole else (self.first, self.all)",
        "                module.rows = None",
        "test_group.py::test_a_row_has_the_same_dropout_however_many_processes_there_are",
    ),
    Control(
        "a process resumes with the state of other rows",
        "training/trainer.py",
        "part[:, self.group.rows(self.config.batch_size)]",
        "part[:, : self.config.batch_size // self.group.size]",
        "test_group.py::test_twenty_and_twenty_steps_are_forty",
    ),
    Control(
        "all seeds of a sweep have the same name",
        "sweeps/design.py",
        "        options = model.to_dict() | train.to_dict()\n",
        "        options = model.to_dict() | train.to_dict() | {'seed': 1}\n",
        "test_sweep_design.py::test_everything_that_changes_the_result_changes_the_name",
    ),
    Control(
        "a run of a sweep has as many threads as the machine",
        "sweeps/work.py",
        '{"OMP_NUM_THREADS": "1", "NO_COLOR"',
        '{"OMP_NUM_THREADS": "2", "NO_COLOR"',
        "test_sweep_faults.py::test_the_process_of_a_run_has_one_thread",
    ),
    Control(
        "a run that was killed begins anew",
        "sweeps/work.py",
        "    begun = task.run.best.exists() and (",
        "    begun = False and (",
        "test_sweep_faults.py::test_a_run_that_is_killed_is_taken_up_again_and_ends_as_if_nothing_had_been",
    ),
    Control(
        "a process of a sweep outlives the command",
        "cli/child.py",
        "    threading.Thread(target=_end_with_parent, daemon=True).start()\n",
        "",
        "test_sweep.py::test_ended_in_the_middle_it_saves_leaves_no_process_and_goes_on",
    ),
    Control(
        "work whose process died counts as done",
        "parallel.py",
        "                lost |= left\n",
        "                lost = {}\n",
        "test_experiment_grid.py::test_the_cells_of_a_killed_process_are_computed_by_another",
    ),
    Control(
        "a cluster of one thread leaves the work to the command",
        "cluster.py",
        "            return max(2, threads)\n",
        "            return threads\n",
        "test_cluster.py::test_the_work_is_done_by_the_cluster_though_it_has_one_thread",
    ),
    Control(
        "a model forgets its newline rule",
        "text/tokenizer.py",
        '    return {} if newline == "keep" else {"newline": newline}',
        "    return {}",
        "test_bad_text.py::test_it_trains_on_exactly_this_text",
    ),
    Control(
        "a text is cut between a letter and its accent",
        "text/utf8.py",
        "\\xc2-\\xcb",
        "\\xc2-\\xcf",
        "test_utf8.py::test_slices_normalize_to_what_the_whole_does",
    ),
    Control(
        "control characters reach a terminal",
        "display.py",
        "    return _UNSAFE.sub(lambda match: repr(match.group())[1:-1], text)",
        "    return text",
        "test_terminals.py",
    ),
    Control(
        "NO_COLOR is ignored",
        "cli/terminal.py",
        ' and not os.environ.get("NO_COLOR")',
        "",
        "test_terminals.py::test_no_color_means_no_bar_and_no_escape",
    ),
    Control(
        "a run's name may be a path",
        "rundir.py",
        '        or re.search(r"[/\\\\]", name)\n',
        "",
        "test_runs.py::test_a_name_cannot_leave_its_directory",
    ),
    Control(
        "the lock of a run is not checked",
        "rundir.py",
        "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            pass\n",
        "test_runs.py::test_a_second_training_is_refused_until_the_first_is_killed",
    ),
    Control(
        "top-p may keep nothing",
        "sampling.py",
        "    reaches[..., 0] = True\n",
        "",
        "test_sampling.py::test_top_p_of_nothing_keeps_the_likeliest",
    ),
    Control(
        "texts side by side are multiplied as one matrix",
        "engine.py",
        "self.body(ids[:, None], state, apart=True)",
        "self.body(ids[:, None], state)",
        "test_lockstep.py::test_sixty_four_long_texts_are_those_sampled_alone",
    ),
    Control(
        "texts side by side take each other's random numbers",
        "lockstep.py",
        "for text in texts], axis=1)  # (T, B)",
        "for text in texts[::-1]], axis=1)",
        "test_lockstep.py::test_every_text_is_the_one_that_is_sampled_alone",
    ),
    Control(
        "an epoch is cut a window short of its ring's end",
        "text/streams.py",
        "np.arange(self.batch_size) * self.stream_len",
        "np.arange(self.batch_size) * (self.stream_len - 1)",
        "test_streams.py::test_no_target_comes_twice_in_an_epoch",
    ),
    Control(
        "padding is read",
        "models/heads.py",
        "    padding = ~inside(features, lengths)\n",
        "    padding = ~inside(features, lengths) & False\n",
        "test_heads.py::test_a_batch_reads_like_each_text_alone_whatever_the_padding",
    ),
    Control(
        "a stretch in the middle of a text is read without a warm-up",
        "text/streams.py",
        "    after = read(as_reader(ids).windows(np.maximum(begins - WARMUP, 0), WARMUP), state)\n",
        "    after = tuple(part.copy() for part in state)\n",
        "test_reading.py::test_streams_change_nothing_where_the_memory_is_shorter_than_their_context",
    ),
    Control(
        "the mixture is not renormalised",
        "mixture.py",
        "np.asarray(log_softmax(scores), dtype=np.float64)",
        "scores",
        "test_mixture.py::test_after_any_context_the_probabilities_sum_to_one",
    ),
    Control(
        "long n-grams that occur once stay in the counts",
        "ngram.py",
        "        once = keep_once is not None and length > keep_once\n",
        "        once = False\n",
        "test_counts.py::test_ngrams_that_occur_once_are_not_in_the_file",
    ),
    Control(
        "the share of n-grams that were left out is lost",
        "ngram.py",
        "np.where(self.kept, discount, a)",
        "discount",
        "test_ngram.py::test_ngram_equals_dictionaries",
    ),
    Control(
        "the counts of another model are used",
        "runs.py",
        "        if not found.belongs_to(self.checkpoint):\n",
        "        if False:\n",
        "test_cli_counts.py::test_counts_of_another_model_are_refused",
    ),
    Control(
        "the order is chosen on the test text too",
        "text/dataset.py",
        "    rest, test = text.split(cuts[0])\n",
        "    rest, test = text, Utf8Text(())\n",
        "test_cli_counts.py::test_no_choice_depends_on_the_test_text",
    ),
    Control(
        "a folded character costs nothing",
        "surprisal.py",
        "share * math.log2(types)",
        "0.0",
        "test_folding.py::test_a_folded_model_is_not_flattered",
    ),
    Control(
        "an unseen character is left out unasked",
        "text/unknown.py",
        '    if policy == "error":',
        "    if False:",
        "test_unknown.py::test_a_model_without_one_refuses_or_skips",
    ),
    Control(
        "the newline rule does not travel with the model",
        "text/tokenizer.py",
        '        text = to_unix(text) if self.newline == "unix" else text\n',
        "",
        "test_tokenizer.py::test_the_newline_rule_is_applied_to_every_text",
    ),
    Control(
        "a text that the model was trained on passes for a new one",
        "overlap.py",
        "is_corpus or text in train",
        "False",
        "test_overlap.py::test_what_was_trained_on",
    ),
    Control(
        "an interval is half as likely to hold the mean",
        "statistics.py",
        "LEVEL = 0.95",
        "LEVEL = 0.5",
        "test_statistics.py::test_95_of_100_intervals_cover_the_mean",
    ),
    Control(
        "a settled configuration may leave a field open",
        "config.py",
        "    return field(kw_only=True, metadata",
        "    return field(default=None, metadata",
        "test_config.py::test_a_settled_training_leaves_nothing_open",
    ),
    Control(
        "a finished run is scored again",
        "training/summary.py",
        "    if best.provenance.get(EXACT) is not True or",
        "    if True or",
        "test_cli_train.py::test_a_finished_run_says_so_and_is_not_scored_again",
    ),
    Control(
        "a resume forgets where the leg began",
        "training/state.py",
        "            progress.legs = legs_from(progress.legs)\n",
        "            progress.legs = ()\n",
        "test_legs.py::test_within_a_leg_k_and_the_rest_are_the_whole_for_every_k",
    ),
    Control(
        "a new leg is saved only at its first interval",
        "training/trainer.py",
        "        self._saved = None  # the first thing to do is to save\n",
        "",
        "test_legs.py::test_a_leg_whose_process_was_killed_at_once_is_the_whole",
    ),
    Control(
        "the counts of an earlier leg stay beside a new best model",
        "training/trainer.py",
        "                run.counts.unlink(missing_ok=True)\n",
        "",
        "test_legs.py::test_a_better_model_gets_counts_and_an_exact_loss_of_its_own",
    ),
    Control(
        "a new leg begins without the best model of the legs before",
        "training/state.py",
        "            self, legs=(*self.legs, over), evaluations_without_best=0,",
        "            self, legs=(*self.legs, over), best_nats=None, evaluations_without_best=0,",
        "test_legs.py::test_the_best_is_that_of_all_legs_and_patience_counts_anew",
    ),
    Control(
        "the rows of old characters stay in their places",
        "extending.py",
        "    new[place] = known\n",
        "    new[: len(known)] = known\n",
        "test_add_characters.py::test_old_characters_keep_the_ratios_of_their_probabilities",
    ),
    Control(
        "a model forgets which texts it was trained on before",
        "training/trainer.py",
        "        self.started_from = saved.provenance.get(lineage.KEY, [])\n",
        "",
        "test_add_characters.py::test_a_run_with_more_characters_resumes_exactly",
    ),
    Control(
        "attention looks at padding",
        "tasks/rewriting.py",
        "softmax(np.where(source.there, scores, -np.inf))",
        "softmax(scores)",
        "test_rewriting.py::test_no_result_depends_on_padding",
    ),
    Control(
        "every hypothesis of a beam continues from the state of the first",
        "tasks/rewriting.py",
        "part[[row for _, row in kept]]",
        "part[[0 for _, row in kept]]",
        "test_rewriting.py::test_a_beam_that_holds_everything_finds_every_target_in_order",
    ),
    Control(
        "the decoder reads the symbol that it has to write",
        "text/items.py",
        "before[:, 1:] = np.maximum(targets[:, :-1], 0)",
        "before[:, 1:] = np.maximum(targets[:, 1:], 0)",
        "test_rewriting.py::test_the_loss_of_items_is_that_of_torch",
    ),
    Control(
        "a gradient on a page misses the place below",
        "mdlstm.py",
        "            dh[:, i - 1, j] += da[:, i, j] @ U1\n",
        "",
        "test_mdlstm.py::test_states_and_gradients_equal_autograd",
    ),
    Control(
        "by diagonals, a gradient misses the cell on the right",
        "models/multidim.py",
        "            dc[:, :, left] += dc_left\n",
        "",
        "test_multidim.py::test_four_corners_equal_the_double_loop_on_the_turned_page",
    ),
    Control(
        "pages of training ask for numbers at held-out places",
        "experiments/page/design.py",
        'derive(seed, "examples"))\n        return self.draw(rng, self.places(SEEN), self.trained)',
        'derive(seed, "examples"))\n        return self.draw(rng, self.places(), self.trained)',
        "test_page_design.py::test_no_digit_of_an_asked_number_is_in_a_band_in_training",
    ),
    Control(
        "pages of training have years that are held out",
        "experiments/page/design.py",
        "                    self.trained,\n                    columns=",
        "                    self.trained + self.held_out,\n                    columns=",
        "test_page_design.py::test_no_held_out_year_is_on_a_page_of_training",
    ),
    Control(
        "two words of a page could name one number",
        "experiments/page/layouts.py",
        "not _misleads(other, blocks) and ",
        "",
        "test_page_layouts.py::test_the_other_direction_names_nothing",
    ),
]


def passes(root: Path, test: str) -> tuple[bool, str]:
    """Whether a test passes in a copy, and the name of the first one that does not."""
    name, *more = test.split(" ")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-qxp", "no:cacheprovider", f"tests/{name}", *more],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode not in (0, 1):
        raise SystemExit(f"{test} did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0, failed[0].split(" ")[1] if failed else ""


def main(words: Sequence[str]) -> int:
    chosen = [c for c in CONTROLS if not words or any(word in c.what for word in words)]
    slept = []
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for part in ("charlm", "tests", "examples", "benchmarks"):
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("setup.cfg", "pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, root / name)
        for test in dict.fromkeys(control.test for control in chosen):
            well, failed = passes(root, test)
            if not well:
                raise SystemExit(f"{failed} fails without any change: mend that first")
        print("| broken on purpose | test that failed |\n| --- | --- |", flush=True)
        for control in chosen:
            path = root / "charlm" / control.file
            source = path.read_text(encoding="utf-8")
            if source.count(control.old) != 1:
                raise SystemExit(f"{control.what}: {control.file} has changed; so must the control")
            path.write_text(source.replace(control.old, control.new), encoding="utf-8")
            well, failed = passes(root, control.test)
            path.write_text(source, encoding="utf-8")
            name = failed.partition("[")[0].removeprefix("tests/")
            print(f"| {control.what} | {'**none**' if well else f'`{name}`'} |", flush=True)
            if well:
                slept.append(control.what)
    if slept:
        print(f"nothing failed where {'; '.join(slept)}", file=sys.stderr)
    return 1 if slept else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
