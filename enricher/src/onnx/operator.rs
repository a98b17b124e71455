//! Our trees as an operator of ONNX Runtime. They are handed to a session with the operator itself, not through the file.

use std::sync::Arc;

use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use crate::trees::evaluate::{Evaluator, Room};
use crate::trees::read::OPERATOR;

/// The operator: `[N, columns]` of f32 in, `[N, targets]` of f32 out.
pub(super) struct TreesOperator {
    evaluator: Arc<Evaluator>,
}

/// The operator in one session.
pub(super) struct TreesKernel {
    evaluator: Arc<Evaluator>,
    room: Room,
}

impl TreesOperator {
    pub(super) fn new(evaluator: Evaluator) -> Self {
        Self { evaluator: Arc::new(evaluator) }
    }
}

impl Operator for TreesOperator {
    type Kernel<'a> = TreesKernel;

    fn name(&self) -> &str {
        OPERATOR
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'a>(&self, _: &KernelContext<'a>) -> ort::Result<TreesKernel> {
        Ok(TreesKernel { evaluator: Arc::clone(&self.evaluator), room: Room::default() })
    }
}

impl Kernel for TreesKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let missing = |what| ort::Error::new(format!("the trees have no {what}"));
        let input = context.input(0)?.ok_or_else(|| missing("input"))?;
        let (shape, rows) = input.try_extract_tensor::<f32>()?;
        let (columns, targets) = (self.evaluator.features() as i64, self.evaluator.targets() as i64);
        let &[count, found] = shape.as_ref() else {
            return Err(ort::Error::new(format!("{} dimensions go into the trees, not 2", shape.len())));
        };
        if found != columns {
            return Err(ort::Error::new(format!("{found} columns go into trees of {columns}")));
        }
        let mut output = context.output(0, [count, targets])?.ok_or_else(|| missing("output"))?;
        let (_, sums) = output.try_extract_tensor_mut::<f32>()?;
        self.evaluator.evaluate(rows, sums, &mut self.room);
        Ok(())
    }
}
