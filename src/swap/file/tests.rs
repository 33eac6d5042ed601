use super::*;
use crate::diagnostic;

fn read(text: &str) -> Result<SwapFile, String> {
    let root = yaml::parse("swap.yml", text, &Limits::default())
        .map_err(|errors| diagnostic::render(&errors, false))?;
    read::file(Path::new("swap.yml"), &root).map_err(|errors| diagnostic::render(&errors, false))
}
