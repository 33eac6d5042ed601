//! From a resource as declared to what travels: files and long texts become their hashes, and the
//! bytes follow only if the host asks for them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::playbook::Globals;
use crate::protocol::{Content, Source};
use crate::resource::AnyResource;

/// Where the bytes behind a hash are.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// In a file on the controller.
    File(PathBuf),
    /// In memory: a rendered template.
    Text(Arc<str>),
}

/// Texts up to this many bytes travel with the task: asking for them would cost a round trip.
const INLINE: usize = 1024;

/// Replaces files and long texts by their hashes, and says where the bytes are.
///
/// # Errors
/// A file that cannot be read, in words.
pub(super) fn lower(
    mut resource: AnyResource,
    globals: &Globals<'_>,
) -> Result<(AnyResource, Vec<(Content, Body)>), String> {
    let mut bodies = Vec::new();
    for source in resource.sources_mut() {
        if let Source::Path(path) = source {
            let path = PathBuf::from(&*path);
            let content = globals
                .hashes
                .of_file(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            bodies.push((content.clone(), Body::File(path)));
            *source = Source::Content(content);
        }
    }
    if let AnyResource::Copy(copy) = &mut resource
        && let Some(text) = copy.content.take_if(|text| text.len() > INLINE)
    {
        let content = Content::of(text.as_bytes());
        copy.src = Some(Source::Content(content.clone()));
        bodies.push((content, Body::Text(text.into())));
    }
    Ok((resource, bodies))
}
