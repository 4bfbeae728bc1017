"""The arithmetic Llama in plain PyTorch: the model, its folder in the standard form, and a batched sampler.

Tensor names are those of transformers' LlamaForCausalLM, so that a folder written here loads there and in candle.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn


@dataclass
class Config:
    vocab_size: int
    hidden_size: int = 128
    intermediate_size: int = 384
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    max_position_embeddings: int = 512

    def standard(self, bos, eos, pad):
        """The content of config.json."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            **asdict(self),
            "num_key_value_heads": self.num_attention_heads,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": True,
            "bos_token_id": bos,
            "eos_token_id": eos,
            "pad_token_id": pad,
            "initializer_range": 0.02,
            "torch_dtype": "float16",
            "use_cache": True,
        }


class RmsNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def rotate(x, cos, sin):
    """Rotary embedding in the half-split form; x [batch, heads, length, head size]."""
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.num_attention_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(c.hidden_size, c.hidden_size, bias=False))

    def forward(self, x, cos, sin, mask, cache, at):
        batch, length, size = x.shape
        q, k, v = (
            project(x).view(batch, length, self.heads, size // self.heads).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            keys, values = cache
            keys[:, :, at : at + length], values[:, :, at : at + length] = k, v
            k, v = keys[:, :, : at + length], values[:, :, : at + length]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, size))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self_attn = Attention(c)
        self.mlp = Mlp(c)
        self.input_layernorm = RmsNorm(c.hidden_size, c.rms_norm_eps)
        self.post_attention_layernorm = RmsNorm(c.hidden_size, c.rms_norm_eps)

    def forward(self, x, *attention):
        x = x + self.self_attn(self.input_layernorm(x), *attention)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.norm = RmsNorm(c.hidden_size, c.rms_norm_eps)


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = Body(config)
        half = config.hidden_size // config.num_attention_heads // 2
        frequency = config.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
        angle = torch.outer(torch.arange(config.max_position_embeddings, dtype=torch.float32), frequency).repeat(1, 2)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        depth = (2 * config.num_hidden_layers) ** -0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                scale = depth if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
                nn.init.normal_(parameter, std=0.05 * scale if "embed" not in name else 0.05)

    def hidden(self, ids, positions, mask, cache=None, at=0):
        """Last hidden states [batch, length, hidden]; mask [batch, 1, length, keys] is true where a query sees a key."""
        x = self.model.embed_tokens(ids)
        cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        for index, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, mask, None if cache is None else cache[index], at)
        return self.model.norm(x)

    def logits(self, hidden):
        return F.linear(hidden, self.model.embed_tokens.weight)


def save_folder(model, tokenizer, folder):
    """Writes config.json and model.safetensors (f16); the tokenizer writes its own files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ids = [tokenizer.token_to_id(token) for token in ("<s>", "</s>", "<pad>")]
    (folder / "config.json").write_text(json.dumps(model.config.standard(*ids), indent=2) + "\n")
    tensors = {name: tensor.detach().cpu().half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})


def load_folder(folder, device="cpu"):
    """The model (f32) and the tokenizer of a folder."""
    folder = Path(folder)
    written = json.loads((folder / "config.json").read_text())
    model = Llama(Config(**{name: written[name] for name in Config.__dataclass_fields__}))
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(str(folder / "model.safetensors")).items()})
    return model.to(device).eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))


@torch.no_grad()
def sample(model, prompts, eos, temperature, max_tokens, generator, batch=256):
    """Completions (ids with the final `eos`, if it came) of token-id `prompts`, greedy at temperature 0."""
    device = model.model.embed_tokens.weight.device
    c = model.config
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    results = [[] for _ in prompts]
    for start in range(0, len(order), batch):
        group = order[start : start + batch]
        longest = max(len(prompts[index]) for index in group)
        ids = torch.zeros(len(group), longest, dtype=torch.long, device=device)
        seen = torch.zeros(len(group), longest + max_tokens, dtype=torch.bool, device=device)
        for row, index in enumerate(group):
            ids[row, longest - len(prompts[index]) :] = torch.tensor(prompts[index], device=device)
            seen[row, longest - len(prompts[index]) :] = True
        lengths = torch.tensor([len(prompts[index]) for index in group], device=device)
        shape = (len(group), c.num_attention_heads, longest + max_tokens, c.hidden_size // c.num_attention_heads)
        cache = [(torch.zeros(shape, device=device), torch.zeros(shape, device=device)) for _ in range(c.num_hidden_layers)]
        positions = (torch.arange(longest, device=device)[None] - (longest - lengths)[:, None]).clamp(min=0)
        # A padding query sees only itself, so that its softmax is not empty.
        mask = torch.ones(longest, longest, dtype=torch.bool, device=device).tril() & seen[:, None, :longest]
        mask = mask | torch.eye(longest, dtype=torch.bool, device=device)
        hidden = model.hidden(ids, positions, mask[:, None], cache)[:, -1]
        alive = torch.ones(len(group), dtype=torch.bool, device=device)
        tokens = []
        for step in range(max_tokens):
            logits = model.logits(hidden)
            if temperature == 0:
                token = logits.argmax(-1)
            else:
                token = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]
            tokens.append(torch.where(alive, token, -1))
            alive = alive & (token != eos)
            if step + 1 == max_tokens or not alive.any():
                break
            at = longest + step
            hidden = model.hidden(token[:, None], (lengths + step)[:, None], seen[:, None, None, : at + 1], cache, at)[:, 0]
        for index, row in zip(group, torch.stack(tokens, 1).tolist()):
            results[index] = [token for token in row if token >= 0]
    return results
