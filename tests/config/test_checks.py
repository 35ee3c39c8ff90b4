"""Each rule refuses what it should, with key, value, rule and fix, and nothing else."""

from __future__ import annotations

import pytest

from musicllm import config
from musicllm.checks import check
from musicllm.errors import ConfigError

CASES = [
    (["recipe=sft", "stage=merge"],
     "stage=merge does not fit this recipe, whose task is train; use stage=train, stage=plan, or "
     "another recipe"),
    (["recipe=sft", "name=a/b"],
     "name=a/b names a folder: letters, digits and . _ + = - after the first"),
    (["recipe=mu_llama/small/train", "audio.encoder=null"],
     "audio.encoder=null gives audio.bridge=gated_prefix nothing to hear; write mert or spectral"),
    (["recipe=mu_llama/small/train", "audio=projector", "audio.num_frames=null"],
     "audio.num_frames=null is missing: audio.bridge=projector makes so many tokens of a clip; "
     "write 16"),
    (["recipe=mu_llama/small/train", "audio.layer=3"],
     "audio.layer=3 has no effect on audio.bridge=gated_prefix, which gets all hidden states; "
     "write null"),
    (["recipe=mu_llama/small/train", "+audio.options.gates=3"],
     "audio.options={gates: 3} is no setting of audio.bridge=gated_prefix; there are num_layers, "
     "num_blocks"),
    (["recipe=mu_llama/small/train", "audio.options.num_layers=0"],
     "audio.options={num_layers: 0} is less than 1; write more"),
    (["recipe=mu_llama/small/train", "audio.options.num_blocks=2.5"],
     "audio.options={num_blocks: 2.5} is not a number; write a whole number"),
    (["recipe=mu_llama/features", "inputs.corpus=mine", "audio=none"],
     "audio.bridge=null says what features are for, and is missing; choose audio=<option>, such as "
     "mu_llama"),
    (["recipe=sft", "objective=distillation"],
     "inputs.teacher=??? is missing: objective.name=distillation learns from a teacher; name a "
     "recipe or the folder of a model, or inputs.teacher_logits=<what it said>"),
    (["recipe=sft", "inputs.teacher=mine"],
     "inputs.teacher=mine has no effect on objective.name=sft; use objective=distillation"),
    (["recipe=distill", "inputs.teacher_logits=mine", "objective.top_k=64"],
     "inputs.teacher_logits=mine stands beside inputs.teacher, and one of them is the teacher; "
     "leave one"),
    (["recipe=sft", "objective.temperature=2"],
     "objective.temperature=2.0 has no effect on objective.name=sft; use objective=distillation"),
    (["recipe=distill", "objective.divergence=null"],
     "objective.divergence=null must be set when objective.name=distillation"),
    (["recipe=distill", "objective.divergence=jensen_shannon"],
     "objective.teacher_share=null must be set with objective.divergence=jensen_shannon; write "
     "0.5"),
    (["recipe=distill", "objective.teacher_share=0.5"],
     "objective.teacher_share=0.5 has no effect on objective.divergence=forward_kl; write null"),
    (["recipe=distill", "objective.plain_weight=1"],
     "objective.plain_weight=1.0 leaves the teacher without an effect; write less, or use "
     "objective=sft"),
    (["recipe=sft", "optimizer.name=adam"],
     "optimizer.name=adam must be one of adamw, muon; did you mean adamw?"),
    (["recipe=export", "export.quantization=q8_0"],
     "export.quantization=q8_0 has no effect on export.format=hf; write null"),
    (["recipe=export", "export.num_texts=5"],
     "export.num_texts=5 has no effect on export.format=hf; write 128"),
    (["recipe=export", "export.push_to_hub=reels"],
     "export.push_to_hub=reels is no repository of the hub; write <owner>/<name>"),
    (["recipe=export", "export.dry_run=false"],
     "export.dry_run=false uploads nothing, since export.push_to_hub=null names no repository; "
     "write export.push_to_hub=<owner>/<name>"),
    (["recipe=export", "export.format=awq"],
     "inputs.texts=??? is missing: the scales of export.format=awq are fitted on its training "
     "split, and its test split shows what the rounding costs; name a recipe or a folder"),
    (["recipe=export", "~inputs.model"],
     "inputs.model=??? is missing: there is nothing to export; name a recipe or a folder"),
    (["recipe=sft", "generation.top_p=2"], "generation.top_p=2.0 must be from 1e-06 to 1"),
    (["recipe=sft", "~inputs.corpus"],
     "inputs.corpus=??? is missing: a train stage reads a corpus; name a recipe or a folder"),
    (["recipe=quickstart", "steps=[]"], "steps=[] a pipeline needs at least one recipe"),
    (["recipe=sft", "training.rows_per_step=20"],
     "training.rows_per_step=20 is not a multiple of 8 devices (v100x8); use 16 or 24"),
    (["recipe=sft", "hardware=a800x16"],
     "training.rows_per_step=8 is not a multiple of 16 devices (a800x16); use 16"),
    (["recipe=sft", "training.num_epochs=null"],
     "training.max_steps=null leaves the run without an end, since training.num_epochs is null, "
     "too; set one of them"),
    (["recipe=sft", "training.step_choices=[100,200]"],
     "training.time_budget_min=null is needed to choose one of training.step_choices; write how "
     "many minutes they take"),
    (["recipe=quickstart/sft", "training.step_choices=[100,0]"],
     "training.step_choices=[100, 0] must be different numbers of steps, each at least 1"),
    (["recipe=quickstart/sft", "training.max_hours=8"],
     "training.max_hours=8.0 and training.step_choices both let the speed set the length; write "
     "training.step_choices=[]"),
    (["recipe=sft", "hardware=gpu1", "training.max_hours=8", "training.num_epochs=null"],
     "hardware.peak_tflops=null leaves the plan of training.max_hours without an estimate; set it, "
     "or training.num_epochs as a limit"),
    (["recipe=sft", "hardware.precision=bf16"],
     "hardware.precision=bf16 is not there on Tesla V100-SXM2-32GB, which has no bfloat16; use "
     "fp16 or fp32"),
    (["recipe=sft", "strategy=single"],
     "strategy=single uses one device, but v100x8 has 8; use ddp, zero1, zero2 or zero3"),
    (["recipe=sft", "strategy=ddp", "strategy.offload_optimizer=true"],
     "strategy.offload_optimizer=true needs strategy.kind=deepspeed; use zero2 or zero3_offload"),
    (["recipe=sft", "strategy=zero3", "adapter=qlora_r64"],
     "adapter.quantization=nf4 keeps matrices in a form that ZeRO 3 cannot cut into pieces; use "
     "zero2"),
    (["recipe=sft", "strategy=zero3", "callbacks.samples_every_steps=10"],
     "callbacks.samples_every_steps=10 needs whole weights on one device, which ZeRO 3 does not "
     "keep; use zero2, or null"),
    (["recipe=sft", "strategy=ddp", "callbacks.on_bad_loss=skip"],
     "callbacks.on_bad_loss=skip is not possible with hardware.precision=fp16: its loss scale "
     "decides on updates; write roll_back or stop"),
    (["recipe=sft", "strategy.offload_parameters=true"],
     "strategy.offload_parameters=true needs strategy.zero_stage=3"),
    (["recipe=sft", "strategy.zero_stage=null"],
     "strategy.zero_stage=None goes with strategy.kind=deepspeed, and only with it"),
    (["recipe=sft", "adapter=none"],
     "adapter=none trains nothing; use lora_r64, dora_r64 or full"),
    (["recipe=quickstart/pretrain", "adapter=lora_r64"],
     "adapter=lora_r64 would adapt random weights: tiny has no location; use adapter=full or set "
     "inputs.model"),
    (["recipe=sft", "adapter.r=null"], "adapter.r=null must be set when adapter.kind=lora"),
    (["recipe=sft", "adapter.init=null"], "adapter.init=null must be set when adapter.kind=lora"),
    (["recipe=sft", "adapter=qlora_r64", "adapter.init=pissa"],
     "adapter.init=pissa takes singular values out of the base, which a base in 4 bits does not "
     "allow; use init=zero, or adapter=lora_r64"),
    (["recipe=sft", "optimizer=muon", "strategy=ddp", "optimizer.lora_plus_ratio=16"],
     "optimizer.lora_plus_ratio=16.0 has no effect on optimizer.name=muon; write null"),
    (["recipe=quickstart/pretrain", "optimizer=adamw", "optimizer.lora_plus_ratio=16"],
     "optimizer.lora_plus_ratio=16.0 has no effect on adapter.kind=full, which has no LoRA; write "
     "null"),
    (["recipe=sft", "adapter.targets=[]"], "adapter.targets=[] is empty; use [attention, mlp]"),
    (["recipe=sft", "adapter.train_new_tokens=true", "adapter.train_output_head=false"],
     "adapter.train_embeddings=true trains the old rows, too, which adapter.train_new_tokens=true "
     "freezes; write false"),
    (["recipe=sft", "adapter=full", "adapter.train_new_tokens=true"],
     "adapter.train_new_tokens=true trains no old row, and adapter.kind=full is for all weights or "
     "none; write false, or use adapter=lora_r64 or new_tokens"),
    (["recipe=sft", "adapter=new_tokens", "strategy=zero3"],
     "adapter.train_new_tokens=true puts rows into a matrix that ZeRO 3 has cut into pieces; use "
     "zero2"),
    (["recipe=sft", "adapter=new_tokens", "optimizer=muon", "strategy=ddp"],
     "optimizer.name=muon works on hidden matrices, and only rows of new tokens are trained; use "
     "adamw"),
    (["recipe=sft", "data.max_length=8192"],
     "data.max_length=8192 is more than the 4096 positions of chatmusician_base; use 4096 or less"),
    (["recipe=quickstart/instructions", "data.row_former=chunk"],
     "data.row_former=chunk would cut conversations in pieces; use pack or single"),
    (["recipe=quickstart/prepare", "data.vocab_size=null"],
     "data.vocab_size=null must be set when data.tokenizer=train"),
    (["recipe=quickstart/prepare", "data.tokenizer=extend"],
     "data.num_new_tokens=null must be set when data.tokenizer=extend, or data.new_tokens=<file>; "
     "write how many, such as 1000"),
    (["recipe=quickstart/prepare", "data.tokenizer=extend", "data.num_new_tokens=9",
      "data.new_tokens=a.txt"],
     "data.num_new_tokens=9 chooses tokens by gain, and data.new_tokens names others; write one of "
     "both"),
    (["recipe=quickstart/prepare", "data.new_tokens=a.txt"],
     "data.new_tokens=a.txt has no effect with data.tokenizer=train; write null, or "
     "data.tokenizer=extend"),
    (["recipe=prepare_sft", "data.tokenizer=extend", "data.num_new_tokens=9",
      "data.compat=reference"],
     "data.compat=reference has the tokens of ChatMusician's published code, and no further ones; "
     "write null, or data.tokenizer=model"),
    (["recipe=quickstart/prepare", "data.transpose_semitones=[2]"],
     "data.transpose_semitones=[2] must hold 0, the tune itself"),
    (["recipe=quickstart/prepare", "data.tokenizer=inherit"],
     "inputs.corpus=??? is missing: data.tokenizer=inherit takes its tokenizer; name a recipe or "
     "a folder"),
    (["recipe=quickstart/prepare", "data.music.check=false"],
     "data.duplicates.melodic_similarity=0.6 compares tunes, which data.music.check=false does not "
     "look for; use null"),
    (["recipe=quickstart/prepare", "data=files"],
     "data.sources.files.location=null names nothing to read; write "
     "data.sources.files.location=<file, folder or zip>"),
    (["recipe=prepare_sft", "data.sources.musicpile_sft.reader=hubb"],
     "data.sources.musicpile_sft.reader=hubb must be one of books, corpus, files, generations, "
     "hub, rendered, synthesized, texts; did you mean hub?"),
    (["recipe=prepare_sft", "data.sources.musicpile_sft.kinds=[jsonl,abcd]"],
     "data.sources.musicpile_sft.kinds=abcd must be one of abc, arrow, csv, json, jsonl, parquet, "
     "tsv, txt; did you mean abc?"),
    (["recipe=prepare_sft", "data.sources.musicpile_sft.max_records=0"],
     "data.sources.musicpile_sft.max_records=0 must be at least 1"),
    (["recipe=prepare_sft", "data=tune_instructions"],
     "inputs.corpus=??? is missing: data.sources.corpus reads its records; "
     "name a recipe or a folder"),
    (["recipe=quickstart/instructions", "data.instructions.languages=[]"],
     "data.instructions.languages=[] names no language; use [en]"),
    (["recipe=prepare_sft", "data=sft_mix", "data.mix.weights.score=1"],
     "data.mix.weights.score=1.0 is no kind of record; there are knowledge and scores"),
    (["recipe=prepare_sft", "data=sft_mix", "data.music.check=false"],
     "data.mix.by=kind tells tunes from words, which needs data.music.check=true"),
    (["recipe=prepare_sft", "data.mix.by=language", "data.mix.weights.cn=1"],
     "data.mix.weights.cn=1.0 is no language; there are en, zh, other and music"),
    (["recipe=prepare_sft", "data.system_prompts.cn=Compose."],
     "data.system_prompts.cn=Compose. is of no language; there are en, zh, other, music"),
    (["recipe=prepare_sft", "data.system_prompts.en='  '"],
     "data.system_prompts.en= is empty; leave en out for no prompt"),
    (["recipe=prepare_sft", "data.system_prompts.en=Compose.", "data.compat=reference"],
     "data.compat=reference has the texts of ChatMusician's published code, neither translated nor "
     "prompted; write null"),
    (["recipe=prepare_sft", "data.translation.shares.zh=0.5"],
     "inputs.translations=??? is missing: data.translation.shares takes translations from a run of "
     "synthesize; name a recipe or a folder"),
    (["recipe=prepare_sft", "data.translation.table=t.jsonl"],
     "data.translation.table=t.jsonl has no effect without data.translation.shares; write "
     "data.translation.shares.zh=0.5, or leave it out"),
    (["recipe=prepare_sft", "inputs.translations=t"],
     "inputs.translations=t has no effect without data.translation.shares; write "
     "data.translation.shares.zh=0.5, or leave it out"),
    (["recipe=imelodist/sft_data", "data.translation.table=t.jsonl"],
     "data.translation.table=t.jsonl stands beside inputs.translations; write one"),
    (["recipe=imelodist/sft_data", "data.translation.shares.zh=0"],
     "data.translation.shares.zh=0.0 must be above 0, and at most 1"),
    (["recipe=imelodist/sft_data", "data.translation.shares.fr=0.5"],
     "data.translation.shares={'zh': 0.75, 'fr': 0.5} add up to 1.25, which is more than 1"),
    (["recipe=quickstart/instructions", "data.instructions.language_shares.en=1",
      "data.instructions.language_shares.zh=1"],
     "data.instructions.language_shares.zh=1.0 is of no language of "
     "data.instructions.languages=['en']"),
    (["recipe=quickstart/instructions", "data.instructions.language_shares.en=0"],
     "data.instructions.language_shares.en=0.0 must be above 0; take en out of "
     "data.instructions.languages for none"),
    (["recipe=quickstart/instructions", "data.instructions.languages=[en,zh]",
      "data.instructions.language_shares.en=1"],
     "data.instructions.language_shares.zh=null must be set, as other languages have a share"),
    (["recipe=prepare_sft", "data.sources.musicpile_sft.role=mine"],
     "data.sources.musicpile_sft.role=mine names an artifact, and reader=hub reads none; write "
     "null"),
    (["recipe=imelodist/increment_data", "data.sources.self_cognition.location=a"],
     "data.sources.self_cognition.role=self_cognition has no effect beside "
     "data.sources.self_cognition.location; write one of both"),
    (["recipe=imelodist/increment_data", "data.sources.self_cognition.role=other"],
     "inputs.other=??? is missing: data.sources.self_cognition reads its records; name a recipe "
     "or a folder"),
    (["recipe=prepare_sft", "data.also_write=[xtunr]"],
     "data.also_write=xtunr must be one of xtuner; did you mean xtuner?"),
    (["recipe=sft", "model.config.num_key_value_heads=5"],
     "model.config.num_attention_heads=32 is not a multiple of model.config.num_key_value_heads=5"),
    (["recipe=sft", "optimizer.betas=[0.9]"],
     "optimizer.betas=[0.9] must be two numbers from 0 to below 1"),
    (["recipe=sft", "optimizer=muon"],
     "optimizer.name=muon needs whole matrices, which ZeRO cuts into pieces; use adamw, or "
     "strategy=ddp"),
    (["recipe=mmlu", "benchmark=[]", "hardware=cpu"],
     "benchmark=[] names no benchmark; use benchmark=[theory]"),
    (["recipe=mmlu", "benchmark=[perplexity]"],
     "inputs.corpus=??? is missing: benchmark perplexity reads its test split; name a recipe or a "
     "folder"),
    (["recipe=mmlu", "benchmark.mmlu.location=null"],
     "benchmark.mmlu.location=null has no questions"),
    (["recipe=sft", "+callbacks.extra.x._target_=os.system"],
     "callbacks.extra.x._target_=os.system is not under lightning.pytorch.callbacks., musicllm.; "
     "name its package in trusted_packages if you trust it"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_a_broken_rule_is_the_only_problem(words: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(config.load(words)[0])
    assert [str(problem) for problem in caught.value.problems] == [expected]


def test_all_problems_are_reported_together() -> None:
    words = ["recipe=sft", "hardware.precision=bf16", "optimizer.lr=-1", "seed=-3"]
    with pytest.raises(ConfigError, match=r"^3 problems in the configuration:\n"):
        check(config.load(words)[0])


def test_trusted_packages_may_be_named() -> None:
    words = ["recipe=sft", "+callbacks.extra.x._target_=mine.Callback", "trusted_packages=[mine]"]
    check(config.load(words)[0])


@pytest.mark.parametrize("key", ["hf_" + "a" * 30, "0123456789abcdef" * 2 + "01234567"])
def test_secrets_are_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(config.load(["recipe=sft", "logger=[wandb]", f"logger.wandb.project={key}"])[0])
    assert "logger.wandb.project=*** looks like a secret" in str(caught.value)
    assert key not in str(caught.value)


def test_a_secret_of_the_environment_is_found_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "not-a-known-form")
    with pytest.raises(ConfigError, match=r"description=\*\*\* looks like a secret"):
        check(config.load(["recipe=sft", "description=not-a-known-form"])[0])
