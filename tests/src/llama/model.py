# Makes a language model that knows nothing: random weights, an alphabet of bytes, and a liking for calling
# tools. What it calls and with what, the server's grammar forces into form.
import sys

import gguf
import numpy

PATH = sys.argv[1]
WIDTH, HEADS, INNER, CONTEXT = 32, 2, 64, 32768
EOS, QUOTE, CALL = 2, 3 + ord('"'), 259

pieces = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{byte:02X}>".encode() for byte in range(256)]
kinds = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.BYTE] * 256
# What the chat template begins a call with, in one piece.
pieces.append(b"<tool_call>\n")
kinds.append(gguf.TokenType.NORMAL)

out = gguf.GGUFWriter(PATH, "llama")
out.add_context_length(CONTEXT)
out.add_embedding_length(WIDTH)
out.add_block_count(1)
out.add_feed_forward_length(INNER)
out.add_head_count(HEADS)
out.add_head_count_kv(HEADS)
out.add_layer_norm_rms_eps(1e-5)
out.add_rope_dimension_count(WIDTH // HEADS)
out.add_vocab_size(len(pieces))
out.add_tokenizer_model("llama")
out.add_token_list(pieces)
out.add_token_scores([0.0] * len(pieces))
out.add_token_types(kinds)
out.add_unk_token_id(0)
out.add_bos_token_id(1)
out.add_eos_token_id(EOS)
out.add_add_space_prefix(False)

random = numpy.random.default_rng(1)


def weights(*shape):
    return random.normal(0, 0.02, shape).astype(numpy.float32)


def put(name, tensor):
    out.add_tensor(name + ".weight", tensor)


# The first dimension is the same for every token, and tells what the model likes.
embedding, output = weights(len(pieces), WIDTH), weights(len(pieces), WIDTH)
embedding[:, 0], output[:, 0] = 1.0, 0.0
for token, liking in ((CALL, 9.0), (EOS, 8.5), (QUOTE, 5.0)):
    output[token, 0] = liking / WIDTH**0.5
put("token_embd", embedding)
put("output", output)
for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
    put(name, numpy.ones(WIDTH, numpy.float32))
for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
    put("blk.0." + name, weights(WIDTH, WIDTH))
put("blk.0.ffn_gate", weights(INNER, WIDTH))
put("blk.0.ffn_up", weights(INNER, WIDTH))
put("blk.0.ffn_down", weights(WIDTH, INNER))
out.write_header_to_file()
out.write_kv_data_to_file()
out.write_tensors_to_file()
out.close()
