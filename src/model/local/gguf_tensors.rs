//! The tensors of a GGUF file, under transformers' names: as floats, or packed as they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;

use super::gguf::{Gguf, SETTINGS};
use super::gguf_formats::format;
use super::mapped::Mapped;
use super::weights::Tensors;
use crate::kernels::Rows;

/// Parts of names, llama.cpp's and transformers'.
const PARTS: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];
const OUTSIDE: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

impl Tensors for Gguf {
    fn names(&self) -> BTreeSet<String> {
        let names = self.content().tensor_infos.keys().filter(|name| !SETTINGS.contains(&name.as_str()));
        names.map(|name| self.rename(name).unwrap_or_else(|| name.clone())).collect()
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let own = self.own_name(name)?;
        let tensor = self.tensor(own)?;
        match self.turned_heads(own) {
            Some(heads) => apart(&tensor, heads),
            None => Ok(tensor),
        }
    }

    fn rows(&self, name: &str) -> Result<Option<Rows>> {
        let own = self.own_name(name)?;
        let info = self.content().tensor_infos.get(own).context("expected it in the file")?;
        let format = format(info.ggml_dtype)?;
        let &[outputs, inputs] = info.shape.dims() else { bail!("expected a matrix, found {:?}", info.shape) };
        let head = match self.turned_heads(own) {
            Some(heads) => {
                ensure!(
                    heads > 0 && outputs.is_multiple_of(2 * heads),
                    "expected rows of {heads} heads, found {outputs}"
                );
                Some(outputs / heads)
            }
            None => None,
        };
        let start = usize::try_from(self.content().tensor_data_offset + info.offset)?;
        let rows = Rows::new(self.file().clone(), format, start, inputs, outputs, head);
        rows.context("expected whole rows in the file").map(Some)
    }

    fn source(&self) -> Option<Arc<Mapped>> {
        Some(self.file().clone())
    }
}

impl Gguf {
    /// Checks that each tensor has numbers, in a known format, and lies within the file.
    ///
    /// # Errors
    /// One does not.
    pub fn check_tensors(&self) -> Result<()> {
        let length = self.bytes().len() as u64;
        for (name, info) in &self.content().tensor_infos {
            let (shape, kind) = (info.shape.dims(), info.ggml_dtype);
            let size = shape.iter().try_fold(1u64, |size, dimension| size.checked_mul(*dimension as u64));
            let Some(size) = size.filter(|size| *size > 0) else {
                bail!("expected numbers in tensor `{name}`, found {:?}", info.shape)
            };
            format(kind).with_context(|| format!("tensor `{name}`"))?;
            let row = shape.last().copied().unwrap_or(1);
            ensure!(
                row.is_multiple_of(kind.block_size()),
                "tensor `{name}`: expected rows of a multiple of {} numbers, found {row}",
                kind.block_size()
            );
            let bytes = (size / kind.block_size() as u64).checked_mul(kind.type_size() as u64);
            let end = bytes
                .and_then(|bytes| bytes.checked_add(info.offset))
                .and_then(|end| end.checked_add(self.content().tensor_data_offset));
            ensure!(
                end.is_some_and(|end| end <= length),
                "is not a whole GGUF file: tensor `{name}` ends after {} bytes, the file after {length}",
                end.map_or("too many".to_owned(), |end| end.to_string())
            );
        }
        Ok(())
    }

    fn rename(&self, name: &str) -> Option<String> {
        rename(name, self.family().renamed)
    }

    /// llama.cpp's name for a tensor.
    fn own_name(&self, name: &str) -> Result<&str> {
        let mut names = self.content().tensor_infos.keys();
        let own = names.find(|own| self.rename(own).as_deref() == Some(name));
        own.map(String::as_str).context("expected it in the file")
    }

    /// The heads of a tensor whose rows are to go [`apart`].
    fn turned_heads(&self, own: &str) -> Option<usize> {
        self.family().rotates_neighbours.then_some(())?;
        let heads = || self.number("attention.head_count");
        let (part, _) = own.rsplit_once('.')?;
        let heads = match part.rsplit_once('.')?.1 {
            "attn_q" => heads(),
            "attn_k" => self.number("attention.head_count_kv").or_else(heads),
            _ => None,
        };
        heads.map(|heads| heads as usize)
    }
}

/// llama.cpp rotates neighbouring dimensions of a Llama's heads, transformers those half a head apart: the rows go back
/// to where they were.
fn apart(tensor: &Tensor, heads: usize) -> Result<Tensor> {
    let shape = tensor.dims();
    let rows = shape.first().copied().unwrap_or(0);
    ensure!(rows > 0 && heads > 0 && rows.is_multiple_of(2 * heads), "expected rows of {heads} heads, found {rows}");
    let pairs = tensor.reshape((heads, rows / heads / 2, 2, tensor.elem_count() / rows))?;
    Ok(pairs.transpose(1, 2)?.reshape(shape)?)
}

/// The name that transformers gives a tensor, where some parts have names of their own.
fn rename(name: &str, renamed: &[(&str, &str)]) -> Option<String> {
    if let Some((_, theirs)) = OUTSIDE.iter().find(|(own, _)| *own == name) {
        return Some((*theirs).to_owned());
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = part.rsplit_once('.')?;
    let (_, theirs) = renamed.iter().chain(&PARTS).find(|(own, _)| *own == part)?;
    Some(format!("model.layers.{layer}.{theirs}.{kind}"))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn names_become_those_of_transformers() {
        let renamed = [("ffn_norm", "pre_feedforward_layernorm")];
        let check = |own: &str, expected: Option<&str>| assert_eq!(rename(own, &[]).as_deref(), expected, "{own}");
        check("token_embd.weight", Some("model.embed_tokens.weight"));
        check("blk.11.attn_q.bias", Some("model.layers.11.self_attn.q_proj.bias"));
        check("blk.0.attn_q_norm.weight", Some("model.layers.0.self_attn.q_norm.weight"));
        check("blk.0.ssm_in.weight", None);
        check("output", None);
        check("blk.0.ffn_norm.weight", Some("model.layers.0.post_attention_layernorm.weight"));
        let found = rename("blk.0.ffn_norm.weight", &renamed);
        assert_eq!(found.as_deref(), Some("model.layers.0.pre_feedforward_layernorm.weight"));
    }

    #[test]
    fn neighbouring_rows_of_a_head_go_half_a_head_apart() {
        let rows = Tensor::arange(0f32, 8.0, &Device::Cpu).unwrap().reshape((8, 1)).unwrap();
        let found: Vec<f32> = apart(&rows, 2).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(found, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
        assert!(apart(&rows, 3).is_err());
    }
}
