# Serves a model with llama.cpp's server until standard input ends. Says where.
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx = 32768
params.n_parallel = 1
params.cpuparams.n_threads = 1
params.warmup = False
params.use_jinja = True
params.chat_template = open(sys.argv[2]).read()
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
