/*
 * One outer step of Train it here, for the network 1-40-40-1 with ReLU and the mean squared error:
 * what metaStep of training.js computes, arranged for speed as in maml_teach/lean.py.
 *
 * - The first inner step starts from the shared theta, so the points of all tasks go through one
 *   product, and the last step of the walk back needs the sum over tasks only.
 * - What a step has computed on its way is kept for the way back.
 * - A layer's bias is one more row of its weights, met by a column of ones in its input, which is
 *   how theta stores it: W row by row, then b.
 *
 * `make wasm` compiles this file to WebAssembly and puts the bytes into meta_step_bytes.js. There
 * is no C library: memory is laid out anew for each batch, from the end of the static data on.
 */

#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

/*
 * Two float64 numbers at a time, at any address that one number may have, and what a comparison of
 * two such pairs answers: all bits, or none.
 */
typedef double Pair __attribute__((vector_size(16), aligned(8)));
typedef long long Bits;
typedef Bits Mask __attribute__((vector_size(16), aligned(8)));

enum {
  UNITS = 40,
  ROW = UNITS + 2,    /* what a layer puts out: its units, the one that meets the bias, a zero */
  SECOND = 2 * UNITS, /* where the weights of the second and third layer begin in theta */
  THIRD = SECOND + (UNITS + 1) * UNITS,
  N_PARAMS = THIRD + UNITS + 1,
  SIZE = (N_PARAMS + 7) / 8 * 8, /* room of a theta: whole lines of the cache */
  BLOCK = 10, /* pairs of columns that add_product sums at a time: as many as registers hold */
};

/* A matrix seen through strides: entry (r, c) is data[r * row + c * column]. */
typedef struct {
  double *data;
  int row, column;
} Matrix;

/*
 * What a step keeps for the way back. `delta` is the error at each layer times a number that the
 * step is given. The same struct holds the directional derivatives of all of these; its weights are
 * then the direction.
 */
typedef struct {
  double *weights, *x, *a1, *a2, *delta1, *delta2, *delta3;
} Step;

/* Points of all tasks, one task after the other: x in rows of x and 1. */
typedef struct {
  double *x, *y;
  int n;
} Points; /* n of each task */

EXPORT double theta[SIZE], m[SIZE], v[SIZE]; /* the run; m and v are Adam's */

static double total[SIZE];               /* the meta-gradient */
static double turned[2][UNITS * UNITS];  /* W and v of the second layer, turned round */
static Points support, query;
static int n_tasks, n_inner_steps;
static double alpha, scale; /* scale of errors on support sets: -alpha, and 2 / n of the mean */
static Step first, r_first;            /* the first inner step, of all tasks */
static Step *later, r_later, at_query; /* further inner steps and the query, of one task */
static double *walk;                   /* v of the walk back, of one task */
static double *values;                 /* a row without its zeros, */
static const double **places;          /* and the rows that they meet */

/* Memory. */

extern unsigned char __heap_base;
static unsigned long next_free;

/* Room for `size` bytes; the memory grows when it must. */
static void *take(unsigned long size) {
  unsigned long at = next_free, page = 65536;
  next_free += (size + 63) / 64 * 64;
  unsigned long here = __builtin_wasm_memory_size(0) * page;
  if (next_free > here) __builtin_wasm_memory_grow(0, (next_free - here + page - 1) / page);
  return (void *)at;
}

static double *take_doubles(int n) { return take(n * sizeof(double)); }

static Step take_step(double *weights, double *x, int n) {
  Step step = {.weights = weights, .x = x};
  double **rows[] = {&step.a1, &step.a2, &step.delta1, &step.delta2};
  for (int k = 0; k < 4; k++) *rows[k] = take_doubles(n * ROW);
  step.delta3 = take_doubles(n);
  return step;
}

/*
 * Lays out a batch of `tasks` tasks and answers where its points go: of all support sets x in rows
 * of x and 1, then y; then the same of all query sets.
 */
EXPORT double *place(int tasks, int n_support, int n_query, int steps) {
  next_free = ((unsigned long)&__heap_base + 63) / 64 * 64;
  n_tasks = tasks, n_inner_steps = steps;
  int all = tasks * n_support;
  double *x = take_doubles(3 * tasks * (n_support + n_query));
  support = (Points){x, x + 2 * all, n_support};
  query = (Points){x + 3 * all, x + 3 * all + 2 * tasks * n_query, n_query};
  int most = all > UNITS + 1 ? all : UNITS + 1;
  if (most < n_query) most = n_query;
  values = take_doubles(most), places = take(most * sizeof *places);
  first = take_step(theta, support.x, all), r_first = take_step(0, support.x, all);
  later = take((steps + 1) * sizeof *later);
  for (int k = 1; k < steps; k++) later[k] = take_step(take_doubles(SIZE), 0, n_support);
  r_later = take_step(0, 0, n_support);
  at_query = take_step(take_doubles(SIZE), 0, n_query), walk = take_doubles(SIZE);
  return x;
}

/* Products and sums. */

static inline Matrix rows_of(double *data, int row) { return (Matrix){data, row, 1}; }
static inline Matrix transposed(Matrix a) { return (Matrix){a.data, a.column, a.row}; }

static void clear(double *out, int n) {
  for (int k = 0; k < n; k++) out[k] = 0;
}

static void copy(double *out, const double *from) {
  for (int k = 0; k < SIZE; k++) out[k] = from[k];
}

static void add(double *out, const double *more) {
  for (int k = 0; k < SIZE; k++) out[k] += more[k];
}

/* Row `r` of a without its zeros: half of all ReLU outputs are. Answers how many are left. */
INLINE int pack(Matrix a, int r, int inner, Matrix b) {
  const double *from = a.data + r * a.row, *to = b.data;
  int n = 0;
  for (int k = 0; k < inner; k++, from += a.column, to += b.row) {
    values[n] = *from;
    places[n] = to;
    n += *(const Bits *)from != 0;
  }
  return n;
}

/* out += the packed row times `pairs` pairs of columns of the rows it meets, from column `j` on. */
INLINE void add_packed(double *out, int n, int j, int pairs) {
  Pair sum[BLOCK], *to = (Pair *)(out + j);
#pragma clang loop unroll(full)
  for (int c = 0; c < pairs; c++) sum[c] = to[c];
  for (int k = 0; k < n; k++) {
    const Pair *row = (const Pair *)(places[k] + j);
#pragma clang loop unroll(full)
    for (int c = 0; c < pairs; c++) sum[c] += values[k] * row[c];
  }
#pragma clang loop unroll(full)
  for (int c = 0; c < pairs; c++) to[c] = sum[c];
}

/* out += a b, for an even number of columns that lie one after the other in out and in b. */
static void add_product(Matrix out, Matrix a, Matrix b, int rows, int inner, int columns) {
  for (int r = 0; r < rows; r++) {
    double *to = out.data + r * out.row;
    int n = pack(a, r, inner, b), j = 0;
    for (; j + 2 * BLOCK <= columns; j += 2 * BLOCK) add_packed(to, n, j, BLOCK);
    for (; j < columns; j += 2) add_packed(to, n, j, 1);
  }
}

/* A row of a layer's outputs times the weights of the one unit of the last layer. */
static double dot(const double *row, const double *weights) {
  Pair sum[2] = {};
  for (int j = 0; j < UNITS; j += 4)
    for (int c = 0; c < 2; c++)
      sum[c] += *(const Pair *)(row + j + 2 * c) * *(const Pair *)(weights + j + 2 * c);
  sum[0] += sum[1];
  return sum[0][0] + sum[0][1] + row[UNITS] * weights[UNITS];
}

/* The weights of the second layer, without its bias, turned round. */
static Matrix turn(double *out, const double *weights) {
  for (int i = 0; i < UNITS; i += 2)
    for (int j = 0; j < UNITS; j += 2) {
      Pair top = *(const Pair *)(weights + i * UNITS + j);
      Pair low = *(const Pair *)(weights + (i + 1) * UNITS + j);
      *(Pair *)(out + j * UNITS + i) = (Pair){top[0], low[0]};
      *(Pair *)(out + (j + 1) * UNITS + i) = (Pair){top[1], low[1]};
    }
  return rows_of(out, UNITS);
}

/* z -> a: ReLU, and the one that meets the bias of the next layer. */
static void activate(double *z, int n) {
  for (double *end = z + n * ROW; z < end; z += ROW) {
    for (int j = 0; j < UNITS; j++) z[j] = z[j] > 0 ? z[j] : 0;
    z[UNITS] = 1;
  }
}

/* out *= the slope of ReLU, which is 1 where its output a is positive, and 0 elsewhere. */
static void times_slope(double *out, const double *a, int n) {
  for (double *end = out + n * ROW; out < end; out += ROW, a += ROW)
    for (int j = 0; j < UNITS; j += 2) *(Mask *)(out + j) &= *(const Pair *)(a + j) > 0;
}

/* out += a W for n rows, to the 40 units of a hidden layer. */
static void add_forward(double *out, double *a, int row, double *weights, int inner, int n) {
  add_product(rows_of(out, ROW), rows_of(a, row), rows_of(weights, UNITS), n, inner, UNITS);
}

/* out += delta W^T, from the last layer to the second. */
static void add_last_backward(double *out, const double *delta, const double *weights, int n) {
  for (int p = 0; p < n; p++, out += ROW)
    for (int j = 0; j < UNITS; j++) out[j] += delta[p] * weights[j];
}

/* out += delta W^T, from the second layer to the first. */
static void add_backward(double *out, double *delta, Matrix weights, int n) {
  add_product(rows_of(out, ROW), rows_of(delta, ROW), weights, n, UNITS, UNITS);
}

/* The gradient of the layers after the first: out += a^T delta, (3.17). */
static void add_hidden_outer(double *out, double *a1, double *a2, Step errors, int n) {
  Matrix second = rows_of(out + SECOND, UNITS), third = rows_of(out + THIRD, 0);
  Matrix a1_turned = transposed(rows_of(a1, ROW)), delta2 = rows_of(errors.delta2, ROW);
  add_product(second, a1_turned, delta2, UNITS + 1, n, UNITS);
  add_product(third, rows_of(errors.delta3, 0), rows_of(a2, ROW), 1, n, ROW); /* as one row */
}

/* The same of all layers. */
static void add_outer(double *out, Step step, Step errors, int n) {
  Matrix x = rows_of(step.x, 2);
  add_product(rows_of(out, UNITS), transposed(x), rows_of(errors.delta1, ROW), 2, n, UNITS);
  add_hidden_outer(out, step.a1, step.a2, errors, n);
}

/* The mathematics, equation by equation. */

/*
 * All layers' outputs and errors for n points, the errors as many `times`: that has the 2 / n of
 * the mean in it. Answers the sum of squared errors.
 */
static double backpropagate(Step step, const double *y, int n, double times) {
  double *w2 = step.weights + SECOND, *w3 = step.weights + THIRD, sum = 0;
  double *filled[] = {step.a1, step.a2, step.delta1, step.delta2};
  for (int k = 0; k < 4; k++) clear(filled[k], n * ROW);
  add_forward(step.a1, step.x, 2, step.weights, 2, n);
  activate(step.a1, n); /* (3.14) */
  add_forward(step.a2, step.a1, ROW, w2, UNITS + 1, n);
  activate(step.a2, n);
  for (int p = 0; p < n; p++) {
    double error = dot(step.a2 + p * ROW, w3) - y[p];
    sum += error * error;
    step.delta3[p] = times * error; /* (3.15) */
  }
  add_last_backward(step.delta2, step.delta3, w3, n);
  times_slope(step.delta2, step.a2, n); /* (3.16) */
  add_backward(step.delta1, step.delta2, turn(turned[0], w2), n);
  times_slope(step.delta1, step.a1, n);
  return sum;
}

/* The R-operator: derivatives of all that the step computed, as its weights move along v. */
static void differentiate(Step step, Step r, int n) {
  double *w2 = step.weights + SECOND, *w3 = step.weights + THIRD;
  double *v2 = r.weights + SECOND, *v3 = r.weights + THIRD;
  double *filled[] = {r.a1, r.a2, r.delta1, r.delta2};
  for (int k = 0; k < 4; k++) clear(filled[k], n * ROW);
  add_forward(r.a1, step.x, 2, r.weights, 2, n);
  times_slope(r.a1, step.a1, n);
  add_forward(r.a2, step.a1, ROW, v2, UNITS + 1, n);
  add_forward(r.a2, r.a1, ROW, w2, UNITS, n); /* (3.18) */
  times_slope(r.a2, step.a2, n);
  for (int p = 0; p < n; p++)
    r.delta3[p] = scale * (dot(step.a2 + p * ROW, v3) + dot(r.a2 + p * ROW, w3)); /* (3.19) */
  add_last_backward(r.delta2, r.delta3, w3, n);
  add_last_backward(r.delta2, step.delta3, v3, n);
  times_slope(r.delta2, step.a2, n); /* (3.20); a ReLU does not bend */
  add_backward(r.delta1, r.delta2, turn(turned[0], w2), n);
  add_backward(r.delta1, step.delta2, turn(turned[1], v2), n);
  times_slope(r.delta1, step.a1, n);
}

/* out += H v times the scale of the errors, from what differentiate has found, (3.21). */
static void add_hvp(double *out, Step step, Step r, int n) {
  add_outer(out, step, r, n);
  add_hidden_outer(out, r.a1, r.a2, step, n);
}

/* The part of a step of all tasks that is one task's. */
static inline Step of_task(Step all, int task, int n) {
  int p = task * n;
  return (Step){all.weights,          all.x + 2 * p,        all.a1 + p * ROW, all.a2 + p * ROW,
                all.delta1 + p * ROW, all.delta2 + p * ROW, all.delta3 + p};
}

/* The inner step of a task, with what it kept. */
static Step inner_step(int task, int k) {
  return k ? later[k] : of_task(first, task, support.n);
}

/* From theta to theta_prime, which are the weights at the query. */
static void adapt(int task) {
  copy(at_query.weights, theta);
  for (int k = 0; k < n_inner_steps; k++) {
    if (k) {
      copy(later[k].weights, at_query.weights);
      later[k].x = support.x + 2 * task * support.n;
      backpropagate(later[k], support.y + task * support.n, support.n, scale);
    }
    Step step = inner_step(task, k);
    add_outer(at_query.weights, step, step, support.n); /* (3.2) */
  }
}

/* Query loss and errors of a task at theta_prime; answers the sum of squared errors. */
static double meet_query(int task) {
  at_query.x = query.x + 2 * task * query.n;
  return backpropagate(at_query, query.y + task * query.n, query.n, 2.0 / query.n / n_tasks);
}

/* The walk back: v <- v - alpha H_k v. Of the first step, add_hvp of all tasks together follows. */
static void walk_back(int task) {
  clear(walk, SIZE);
  add_outer(walk, at_query, at_query, query.n); /* (3.5) */
  for (int k = n_inner_steps - 1; k >= 0; k--) {
    Step step = inner_step(task, k);
    Step r = k ? r_later : of_task(r_first, task, support.n);
    r.weights = walk;
    differentiate(step, r, support.n);
    if (k) add_hvp(walk, step, r, support.n); /* (3.6) */
  }
  add(total, walk); /* (3.7) */
}

static void add_query_gradient(int task) {
  (void)task;
  add_outer(total, at_query, at_query, query.n); /* (3.8) */
}

static void add_way(int task) {
  (void)task;
  for (int k = 0; k < N_PARAMS; k++)
    total[k] += (theta[k] - at_query.weights[k]) / alpha / n_tasks; /* (3.9) */
}

/* The meta-loss; `add_share` adds what a task that has been adapted adds to the meta-gradient. */
static double over_tasks(void (*add_share)(int task), double rate) {
  double sum = 0;
  alpha = rate, scale = -alpha * 2 / support.n;
  clear(total, SIZE);
  if (n_inner_steps) backpropagate(first, support.y, n_tasks * support.n, scale);
  for (int task = 0; task < n_tasks; task++) {
    adapt(task);
    sum += meet_query(task);
    add_share(task);
  }
  return sum / query.n / n_tasks; /* (3.1) */
}

/* What the page calls: a meta-gradient on the batch that was placed, then a step along it. */

EXPORT double maml(double rate) {
  double meta_loss = over_tasks(walk_back, rate);
  if (n_inner_steps) add_hvp(total, first, r_first, n_tasks * support.n); /* (3.6), all tasks */
  return meta_loss;
}

EXPORT double fomaml(double rate) { return over_tasks(add_query_gradient, rate); }

EXPORT double reptile(double rate) { return over_tasks(add_way, rate); }

/*
 * The outer step, (2.3): Kingma and Ba (2015), Algorithm 1, with its default decay rates. At step k
 * the shares are 1 - 0.9^k and 1 - 0.999^k.
 */
EXPORT void adam(double beta, double share1, double share2) {
  for (int k = 0; k < N_PARAMS; k++) {
    m[k] = 0.9 * m[k] + 0.1 * total[k];
    v[k] = 0.999 * v[k] + 0.001 * total[k] * total[k];
    double m_hat = m[k] / share1, v_hat = v[k] / share2;
    theta[k] -= beta * m_hat / (__builtin_sqrt(v_hat) + 1e-8);
  }
}
