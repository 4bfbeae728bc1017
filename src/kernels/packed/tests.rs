//! Every format against candle's reading of it, and products against sums in f64 and against themselves.

use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::{DType, Device};
use half::f16;
use rand::Rng;

use super::*;

/// What candle calls each format, and where the scales of a block stand.
const FORMATS: [(Format, GgmlDType, &[usize]); 13] = [
    (Format::F32, GgmlDType::F32, &[]),
    (Format::F16, GgmlDType::F16, &[]),
    (Format::Bf16, GgmlDType::BF16, &[]),
    (Format::Q4_0, GgmlDType::Q4_0, &[0]),
    (Format::Q4_1, GgmlDType::Q4_1, &[0, 2]),
    (Format::Q5_0, GgmlDType::Q5_0, &[0]),
    (Format::Q5_1, GgmlDType::Q5_1, &[0, 2]),
    (Format::Q8_0, GgmlDType::Q8_0, &[0]),
    (Format::Q2K, GgmlDType::Q2K, &[80, 82]),
    (Format::Q3K, GgmlDType::Q3K, &[108]),
    (Format::Q4K, GgmlDType::Q4K, &[0, 2]),
    (Format::Q5K, GgmlDType::Q5K, &[0, 2]),
    (Format::Q6K, GgmlDType::Q6K, &[208]),
];

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = crate::random::stream(seed, &[&"packed"]);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Rows of any bits, but for the scales, which are numbers near 1; a floats' row is of such numbers alone.
fn random_rows(format: Format, dtype: GgmlDType, scales: &[usize], inputs: usize, outputs: usize) -> Vec<u8> {
    let count = format.row_bytes(inputs).expect("whole blocks") * outputs;
    let numbers = random(inputs * outputs, 1);
    match dtype {
        GgmlDType::F32 => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        GgmlDType::F16 => numbers.iter().flat_map(|number| f16::from_f32(*number).to_le_bytes()).collect(),
        GgmlDType::BF16 => numbers.iter().flat_map(|number| half::bf16::from_f32(*number).to_le_bytes()).collect(),
        _ => {
            let mut rng = crate::random::stream(2, &[&"packed"]);
            let mut bytes: Vec<u8> = (0..count).map(|_| rng.random()).collect();
            for block in bytes.chunks_exact_mut(dtype.type_size()) {
                for place in scales {
                    let scale = f16::from_f32(rng.random_range(-1.0..1.0));
                    block[*place..*place + 2].copy_from_slice(&scale.to_le_bytes());
                }
            }
            bytes
        }
    }
}

fn dequantised(dtype: GgmlDType, bytes: &[u8], inputs: usize, outputs: usize) -> Vec<f32> {
    let tensor = qtensor_from_ggml(dtype, bytes, vec![outputs, inputs], &Device::Cpu).expect("a tensor");
    let tensor = tensor.dequantize(&Device::Cpu).and_then(|tensor| tensor.to_dtype(DType::F32));
    tensor.and_then(|tensor| tensor.flatten_all()?.to_vec1()).expect("numbers")
}

fn rows(format: Format, bytes: Vec<u8>, inputs: usize, outputs: usize) -> Rows {
    Rows::new(Arc::new(bytes), format, 0, inputs, outputs, None).expect("rows")
}

#[test]
fn weights_are_those_that_candle_reads() {
    assert_eq!(FORMATS.map(|(format, ..)| format), Format::ALL);
    for (format, dtype, scales) in FORMATS {
        let (inputs, outputs) = (512, 7);
        let bytes = random_rows(format, dtype, scales, inputs, outputs);
        let expected = dequantised(dtype, &bytes, inputs, outputs);
        let rows = rows(format, bytes, inputs, outputs);
        for (row, expected) in expected.chunks_exact(inputs).enumerate() {
            assert_eq!(rows.unpack(row).expect("a row"), expected, "{format:?}");
            for processor in Processor::kinds() {
                let mut found = vec![[0.0; LANES]; inputs / LANES];
                rows.unpack_into(row, processor, &mut found);
                assert_eq!(found.as_flattened(), expected, "{format:?}, {processor:?}");
            }
        }
        assert_eq!(rows.unpack(outputs), None);
    }
}

#[test]
fn products_are_those_of_the_numbers() {
    for (format, dtype, scales) in FORMATS {
        let widths: &[usize] = if dtype.block_size() == 1 { &[40, 1, 256] } else { &[256, 768] };
        for inputs in widths.iter().copied() {
            let outputs = 13;
            let bytes = random_rows(format, dtype, scales, inputs, outputs);
            let weights = dequantised(dtype, &bytes, inputs, outputs);
            let matrix = Packed::stack(vec![rows(format, bytes, inputs, outputs)]);
            let x = random(inputs * 8, 3);
            let products = matrix.multiply(&x);
            assert_eq!(products.len(), 8 * outputs);
            for (products, x) in products.chunks_exact(outputs).zip(x.chunks_exact(inputs)) {
                for (product, weights) in products.iter().zip(weights.chunks_exact(inputs)) {
                    let terms = weights.iter().zip(x).map(|(weight, x)| f64::from(*weight) * f64::from(*x));
                    let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                    let distance = (f64::from(*product) - sum).abs();
                    assert!(distance <= 1e-6 * size, "{format:?}, {inputs} inputs: {product} for {sum}");
                }
            }
        }
    }
}

/// What the documentation of `product` says, number by number.
fn chained(weights: &[f32], x: &[f32]) -> f32 {
    let mut chains = [0.0f32; LANES];
    for (n, (weight, x)) in weights.iter().zip(x).enumerate() {
        chains[n % LANES] = weight.mul_add(*x, chains[n % LANES]);
    }
    for half in [8, 4, 2, 1] {
        (0..half).for_each(|n| chains[n] += chains[n + half]);
    }
    chains[0]
}

#[test]
fn a_product_has_the_same_bits_in_any_company_on_any_threads() {
    for (format, dtype, scales) in FORMATS {
        let (inputs, counts) = (512, [37, 64, 91]);
        let parts = counts.map(|outputs| {
            let bytes = random_rows(format, dtype, scales, inputs, outputs);
            rows(format, bytes, inputs, outputs)
        });
        let weights: Vec<Vec<f32>> =
            parts.iter().flat_map(|part| (0..part.outputs()).filter_map(|row| part.unpack(row))).collect();
        let matrix = Packed::stack(parts.into());
        let x = random(inputs * 33, 4);
        let expected: Vec<f32> =
            x.chunks_exact(inputs).flat_map(|x| weights.iter().map(move |weights| chained(weights, x))).collect();
        let outputs: usize = counts.iter().sum();
        for processor in Processor::kinds() {
            for threads in 1..=3 {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
                let multiply = |x: &[f32]| pool.install(|| matrix.multiply_on(processor, x));
                for count in [1, 2, 3, 4, 5, 6, 7, 9, 13, 33] {
                    let found = multiply(&x[..count * inputs]);
                    assert_eq!(found, expected[..count * outputs], "{format:?}, {processor:?}, {count} rows");
                }
                let alone: Vec<f32> = x.chunks_exact(inputs).flat_map(multiply).collect();
                assert_eq!(alone, expected, "{format:?}, {processor:?}, one by one");
            }
        }
    }
}

#[test]
fn halves_of_heads_that_take_turns_come_apart() {
    let numbers: Vec<u8> = (0..8u8).flat_map(|row| f32::from(row).to_le_bytes()).collect();
    let part = |head| Rows::new(Arc::new(numbers.clone()), Format::F32, 0, 1, 8, head);
    let rows = part(Some(4)).expect("rows");
    let found: Vec<f32> = (0..8).filter_map(|row| rows.unpack(row)).flatten().collect();
    assert_eq!(found, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    assert_eq!(Packed::stack(vec![rows]).multiply(&[2.0]), [0.0, 4.0, 2.0, 6.0, 8.0, 12.0, 10.0, 14.0]);
    assert!(part(Some(3)).is_none() && part(Some(0)).is_none() && part(Some(16)).is_none());
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let check = |format, start, inputs, outputs| Rows::new(Arc::new([0u8; 40]), format, start, inputs, outputs, None);
    assert!(check(Format::Q4_1, 0, 32, 2).is_some() && check(Format::Q4_1, 20, 32, 1).is_some());
    assert!(check(Format::Q4_1, 0, 32, 3).is_none() && check(Format::Q4_1, 21, 32, 1).is_none());
    assert!(check(Format::Q4_1, 0, 48, 1).is_none() && check(Format::Q4_1, 0, 0, 1).is_none());
    assert!(check(Format::F32, usize::MAX, 1, 1).is_none() && check(Format::F16, 0, usize::MAX, 2).is_none());
}
