//! rolldown over the project in memory: one ES module, minified, with a source map.
//!
//! Everything runs on the calling thread, whose stack is large; the sources were parsed and measured before.

use super::project::{ProjectFs, ROOT, absolute};
use super::resolve;
use super::sources::Sources;
use oxc::mangler::MangleOptionsKeepNames;
use oxc::minifier::CompressOptionsKeepNames;
use oxc_sourcemap::{SourceMap, Token};
use rolldown::{
    BundleFactory, BundleFactoryOptions, BundlerOptions, BundlerTransformOptions, CodeSplittingMode,
    CommentsOptions, Either, InputItem, OutputFormat, Platform, RawCompressOptions, RawMangleOptions,
    RawMinifyOptions, RawMinifyOptionsDetailed, SourceMapType, TsConfig,
};
use rolldown_common::{Output, OutputChunk};
use rolldown_error::BuildDiagnostic;
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

/// What came out.
pub(crate) struct Bundled {
    pub code: String,
    pub source_map: String,
    pub exports: Vec<String>,
    /// Path in the project and bytes, largest first.
    pub modules: Vec<(String, usize)>,
    pub warnings: Vec<BuildDiagnostic>,
}

/// Why nothing did.
pub(crate) enum BundleError {
    Source(Vec<BuildDiagnostic>),
    Compiler(String),
}

pub(crate) fn bundle(fs: &ProjectFs, main: &str) -> Result<Bundled, BundleError> {
    // One thread: rayon's work and tokio's tasks stay on this stack, and the jail need not allow a crowd.
    let own_pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build_global();
    own_pool.map_err(|e| BundleError::Compiler(e.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .map_err(|e| BundleError::Compiler(e.to_string()))?;
    let source = |errors: rolldown_error::BatchedBuildDiagnostic| BundleError::Source(errors.into_vec());
    let factory = BundleFactoryOptions {
        bundler_options: options(main),
        plugins: vec![Arc::new(Sources(fs.clone()))],
        disable_tracing_setup: true,
        ..Default::default()
    };
    let mut factory = BundleFactory::new(factory).map_err(source)?;
    let bundle = factory.create_bundle_with_fs(fs.clone(), resolve::resolver(fs));
    let output = runtime.block_on(bundle.generate()).map_err(source)?;
    let mut chunks = output.assets.iter().filter_map(|asset| match asset {
        Output::Chunk(chunk) => Some(chunk),
        Output::Asset(_) => None,
    });
    let (Some(chunk), None) = (chunks.next(), chunks.next()) else {
        return Err(BundleError::Compiler(
            "the bundler did not make exactly one module".to_owned(),
        ));
    };
    Ok(bundled(chunk, output.warnings))
}

fn bundled(chunk: &Arc<OutputChunk>, warnings: Vec<BuildDiagnostic>) -> Bundled {
    let name = |id: &str| super::project::relative(id).unwrap_or(id).to_owned();
    let sizes = chunk.modules.keys.iter().zip(&chunk.modules.values);
    let mut modules: Vec<(String, usize)> = sizes
        .map(|(id, module)| (name(id), module.code().map_or(0, |code| code.len())))
        .collect();
    modules.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut exports: Vec<String> = chunk.exports.iter().map(ToString::to_string).collect();
    exports.sort();
    Bundled {
        code: chunk.code.clone(),
        source_map: chunk
            .map
            .as_ref()
            .map(|map| in_bytes(map, &chunk.code).to_json_string())
            .unwrap_or_default(),
        exports,
        modules,
        warnings,
    }
}

/// The map with columns of the bundle in bytes, as the engine counts them; the standard counts UTF-16 units, and on the
/// one line of a bundle every letter that is not ASCII would move all that follows.
fn in_bytes<'a>(map: &'a SourceMap<'a>, code: &str) -> Cow<'a, SourceMap<'a>> {
    if code.is_ascii() {
        return Cow::Borrowed(map);
    }
    let mut parts = map.clone().into_parts();
    parts.token_chunks = None;
    let mut lines = code.split('\n');
    let (mut line, mut units, mut bytes) = (0, 0, 0);
    let mut left = lines.next().unwrap_or_default().chars();
    for token in &mut parts.tokens {
        while line < token.get_dst_line() {
            (line, units, bytes) = (line + 1, 0, 0);
            left = lines.next().unwrap_or_default().chars();
        }
        while units < token.get_dst_col() {
            let Some(letter) = left.next() else { break };
            units += u32::try_from(letter.len_utf16()).unwrap_or(0);
            bytes += u32::try_from(letter.len_utf8()).unwrap_or(0);
        }
        *token = Token::new(
            line,
            bytes,
            token.get_src_line(),
            token.get_src_col(),
            token.get_source_id(),
            token.get_name_id(),
        );
    }
    Cow::Owned(SourceMap::from_parts(parts))
}

fn options(main: &str) -> BundlerOptions {
    BundlerOptions {
        input: Some(vec![InputItem {
            name: Some("function".to_owned()),
            import: absolute(main).to_string_lossy().into_owned(),
        }]),
        cwd: Some(PathBuf::from(ROOT)),
        format: Some(OutputFormat::Esm),
        platform: Some(Platform::Neutral),
        // packages ask it which of their builds this is; there is no process here
        define: Some(
            std::iter::once(("process.env.NODE_ENV".to_owned(), "\"production\"".to_owned())).collect(),
        ),
        resolve: Some(resolve::options()),
        tsconfig: Some(TsConfig::Auto(false)),
        minify: Some(RawMinifyOptions::Object(RawMinifyOptionsDetailed {
            // A stack trace shows the names of functions; all else may be one letter.
            mangle: Some(RawMangleOptions {
                keep_names: Some(MangleOptionsKeepNames::all_true()),
                ..Default::default()
            }),
            compress: Some(RawCompressOptions {
                keep_names: Some(CompressOptionsKeepNames::all_true()),
                ..Default::default()
            }),
            remove_whitespace: true,
        })),
        // This would wrap every function in a helper call; the minifier is told instead.
        keep_names: Some(false),
        comments: Some(CommentsOptions {
            legal: false,
            annotation: false,
            jsdoc: false,
        }),
        sourcemap: Some(SourceMapType::Hidden),
        sourcemap_exclude_sources: Some(true),
        dir: Some(ROOT.to_owned()),
        code_splitting: Some(CodeSplittingMode::Bool(false)),
        transform: Some(BundlerTransformOptions {
            target: Some(Either::Left("es2023".to_owned())),
            ..Default::default()
        }),
        ..Default::default()
    }
}
