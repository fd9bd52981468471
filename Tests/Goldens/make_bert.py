#!/usr/bin/env python3
"""Makes the tiny BERT models under bert/ and what transformers computes with them.

Needs: pip install torch transformers sentence-transformers tokenizers safetensors gguf numpy scipy
"""
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import scipy.linalg
import torch
from gguf import GGMLQuantizationType as Q
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.implementations import BertWordPieceTokenizer
from sentence_transformers import CrossEncoder
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast

ROOT = Path(__file__).parent / "bert"
WORDS = """a an and are as at be bird birds by can cave caves day does echo eat feather fly flies for
from has high in insect is it its language long nest nests night not of on one or saliva sea small soft
south swift swiftlet swiftlets that the their they this through to tree use water way white wind wing
wings with year""".split()
SUFFIXES = ["##" + s for s in "s ed ing er ly est ness able ment tion let lets".split()]
LETTERS = list("abcdefghijklmnopqrstuvwxyz0123456789.,!?;:'\"()-") + list("鳥海雨鸟éа")
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + LETTERS + ["##" + c for c in LETTERS[:36]]
VOCABULARY += [w for w in WORDS if len(w) > 1] + [s for s in SUFFIXES if len(s) > 3]
assert len(set(VOCABULARY)) == len(VOCABULARY)

TEXTS = [
    "The swiftlet nests in a cave by the sea.",
    "",
    "   ",
    "Swifts fly high; they eat insects!",
    "swift is a language",
    "[CLS] the [MASK] flies [SEP]",
    "鳥 flies über the 海",
    "x" * 120,
    "one " * 80,
    "Does it use an echo?",
]


def gguf_name(name):
    name = name.replace("bert.", "")
    table = [
        ("embeddings.word_embeddings", "token_embd"),
        ("embeddings.position_embeddings", "position_embd"),
        ("embeddings.token_type_embeddings", "token_types"),
        ("embeddings.LayerNorm", "token_embd_norm"),
        ("attention.self.query", "attn_q"),
        ("attention.self.key", "attn_k"),
        ("attention.self.value", "attn_v"),
        ("attention.output.dense", "attn_output"),
        ("attention.output.LayerNorm", "attn_output_norm"),
        ("intermediate.dense", "ffn_up"),
        ("output.dense", "ffn_down"),
        ("output.LayerNorm", "layer_output_norm"),
    ]
    name = name.replace("encoder.layer.", "blk.")
    for old, new in table:
        if old in name:
            return name.replace(old, new)
    return None


def write_gguf(path, config, state, kind):
    """Writes the model, and returns the weights as the file's type keeps them."""
    writer = gguf.GGUFWriter(str(path), "bert")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_uint32("tokenizer.ggml.token_type_count", config.type_vocab_size)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    # The format marks the tokens that begin a word, and leaves the others bare.
    phantom = [
        t if t.startswith("[") and t.endswith("]") else t[2:] if t.startswith("##") else "\u2581" + t
        for t in VOCABULARY
    ]
    writer.add_token_list(phantom)
    writer.add_token_types([3 if t.startswith("[") and len(t) > 1 else 1 for t in VOCABULARY])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_unk_token_id(1)
    writer.add_sep_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_mask_token_id(4)
    kept = {}
    for name, tensor in state.items():
        new = gguf_name(name)
        if new is None:
            continue
        values = tensor.float().numpy()
        is_matrix = values.ndim == 2 and "position" not in new and "token_types" not in new
        stored = kind if is_matrix else Q.F32
        raw = gguf.quants.quantize(values, stored)
        kept[name] = torch.from_numpy(gguf.quants.dequantize(raw, stored).reshape(values.shape).copy())
        writer.add_tensor(new, raw, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return kept


def reference(model, tokenizer, limit):
    arrays = {}
    generator = np.random.default_rng(3)
    sequences = [generator.integers(0, len(VOCABULARY), n).tolist() for n in (1, 2, 7, 16, 33, limit)]
    tokenizer.enable_truncation(limit)
    sequences += [tokenizer.encode(t).ids for t in TEXTS]
    for index, ids in enumerate(sequences):
        with torch.inference_mode():
            out = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        hidden = out.last_hidden_state[0]
        arrays[f"ids{index}"] = np.array(ids, dtype=np.int64)
        arrays[f"hidden{index}"] = hidden.numpy()
        for name, vector in [("mean", hidden.mean(0)), ("cls", hidden[0]), ("last", hidden[-1])]:
            arrays[f"{name}{index}"] = torch.nn.functional.normalize(vector, dim=0).numpy()
            arrays[f"raw_{name}{index}"] = vector.numpy()
    return arrays


def make(name, seed, config, *, prefix="", old_names=False, dtype=torch.float32, kinds=()):
    torch.manual_seed(seed)
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "1_Pooling").mkdir(parents=True)
    model = BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter + 0.15 * torch.randn_like(parameter))
            parameter.copy_(parameter.to(dtype).float())
    state = {k: v for k, v in model.state_dict().items() if "position_ids" not in k}
    stored = {}
    for key, value in state.items():
        if old_names:
            key = key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        stored[prefix + key] = value.to(dtype).contiguous()
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    values = config.to_dict()
    keep = """architectures model_type vocab_size hidden_size num_hidden_layers num_attention_heads
    intermediate_size hidden_act max_position_embeddings type_vocab_size layer_norm_eps""".split()
    write_json(folder / "config.json", {k: values[k] for k in keep if k in values} | {"model_type": "bert"})
    tokenizer = BertWordPieceTokenizer(vocab={t: i for i, t in enumerate(VOCABULARY)})
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("".join(t + "\n" for t in VOCABULARY))
    write_json(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": 512})
    write_json(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ])
    write_json(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": config.hidden_size, "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False,
    })
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 40, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {
        "prompts": {"query": "swift: ", "document": ""}, "default_prompt_name": None,
    })
    tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
    np.savez(folder / "ref.npz", **reference(model, tokens, 40))
    for kind in kinds:
        path = ROOT / f"{name}-{kind.name.lower()}.gguf"
        kept = write_gguf(path, config, state, kind)
        model.load_state_dict({**state, **kept})
        np.savez(path.with_suffix(".npz"), **reference(model, tokens, 40))
        model.load_state_dict(state)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def make_reduction():
    generator = np.random.default_rng(5)
    x = (generator.normal(size=(200, 24)) @ generator.normal(size=(24, 24))).astype(np.float32)
    centred = x.astype(np.float64) - x.astype(np.float64).mean(0)
    _, s, vt = scipy.linalg.svd(centred, full_matrices=False)
    vt *= np.sign(vt[np.arange(24), np.abs(vt).argmax(1)])[:, None]
    k = 7
    np.savez(
        ROOT / "pca.npz", x=np.ascontiguousarray(x), mean=x.astype(np.float64).mean(0).astype(np.float32),
        components=np.ascontiguousarray(vt[:k], dtype=np.float32), variance=(s[:k] ** 2 / 199).astype(np.float32),
        reduced=np.ascontiguousarray(centred @ vt[:k].T, dtype=np.float32))


def make_cross_encoder():
    """A reranker, and the scores that sentence-transformers gives."""
    torch.manual_seed(9)
    folder = ROOT / "cross"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    model = BertForSequenceClassification(BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=64, num_labels=1)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter + 0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    tokenizer = BertTokenizerFast(vocab={t: i for i, t in enumerate(VOCABULARY)}, model_max_length=40)
    tokenizer.save_pretrained(folder)
    query = "Where does a swiftlet nest?"
    scores = CrossEncoder(str(folder), device="cpu").predict([(query, t) for t in TEXTS])
    np.savez(folder / "ref.npz", scores=np.asarray(scores, dtype=np.float32))
    (folder / "query.json").write_text(json.dumps([query]) + "\n")


def main():
    ROOT.mkdir(exist_ok=True)
    make("wide", 1, BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=96, max_position_embeddings=48), kinds=[Q.F32, Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0])
    # Nothing here is a multiple of a vector; the names are those of older checkpoints.
    make("odd", 2, BertConfig(
        vocab_size=len(VOCABULARY) + 3, hidden_size=36, num_hidden_layers=3, num_attention_heads=3,
        intermediate_size=50, max_position_embeddings=41, layer_norm_eps=1e-5),
        prefix="bert.", old_names=True, dtype=torch.float16)
    make_cross_encoder()
    make_reduction()
    (ROOT / "texts.json").write_text(json.dumps(TEXTS, ensure_ascii=False, indent=1) + "\n")


main()
